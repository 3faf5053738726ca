//! A stored message, as it is kept on disk.

use std::sync::Arc;
use std::time::SystemTime;

use crate::message::Message;

/// A stored message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What is published. Once it is settled, its payload is empty and it has no properties.
    pub message: Message,
    /// Bytes of the payload.
    pub size: u64,
    /// The name of the token or of the hook that stored it, or empty.
    pub owner: Box<str>,
    /// When it was stored.
    pub since: SystemTime,
    /// Nothing is sent after this time.
    pub until: SystemTime,
    /// `None` while it is queued. A message that was sent and is not acknowledged is queued too: it is sent again after
    /// a restart.
    pub settled: Option<Settled>,
}

/// What became of a stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Since when that is known.
    pub at: SystemTime,
    /// What became of it.
    pub result: Settlement,
    /// Of the broker, in MQTT 5.
    pub reason_code: Option<u8>,
    /// Why it was refused.
    pub error: Option<Arc<str>>,
    /// Whether the broker may have it all the same: it was sent, and not acknowledged.
    pub may_have_arrived: bool,
}

impl Settled {
    /// Whether the broker may have it all the same.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.may_have_arrived
    }
}

/// How a stored message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The broker has it.
    Acknowledged,
    /// Its time was over.
    Expired,
    /// The broker, or a limit, refused it.
    Refused,
}
