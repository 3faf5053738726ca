//! What the file has when it is opened.

use std::time::SystemTime;

use crate::outbox::{KeyHash, KeyRecord, Settlement};

/// What the file has when it is opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The random number of the file.
    pub file: u32,
    /// The sequence of the next message: larger than that of each message which the file ever had.
    pub next_sequence: u64,
    /// Messages up to this sequence may have been sent.
    pub given_up_to: u64,
    /// The queued messages, in their order.
    pub queued: Vec<Brief>,
    /// The outcomes, in the order of their messages.
    pub outcomes: Vec<Brief>,
    /// The idempotency keys, the oldest first.
    pub keys: Vec<(KeyHash, KeyRecord)>,
}

/// What is known of a message without reading it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its order.
    pub sequence: u64,
    /// The name of the token or of the hook that stored it, or empty.
    pub owner: Box<str>,
    /// Bytes of its row.
    pub size: u64,
    /// When it was stored.
    pub since: SystemTime,
    /// Nothing is sent after this time.
    pub until: SystemTime,
    /// When it was settled, and how.
    pub settlement: Option<(SystemTime, Settlement)>,
}
