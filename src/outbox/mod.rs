//! The outbox: messages that are kept on disk until the broker has them or their time is over, and the keys of requests.
//!
//! 1. An endpoint hands over messages with the time that is left for them: [`Outbox::store`]. They are answered when they
//!    are on disk.
//! 2. The thread `outbox` writes what came meanwhile in one transaction. `store/`
//! 3. It hands stored messages to the connection in their order, a bounded number at a time. `mqtt/publisher/stored.rs`
//! 4. What became of each is written too, and can be asked for until it is forgotten.

mod answer;
mod id;
pub mod store;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::answer::{Answer, KeyHash, KeyRecord};
pub use self::id::Id;
pub use self::stored::{Settled, Settlement, Stored};

use crate::memory::Share;
use crate::message::Message;

/// Why nothing was stored, or why it is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotStored {
    /// No outbox is configured.
    #[error("there is no outbox: set `path` in the table [outbox] of the configuration, and restart the bridge")]
    Off,
    /// `max-messages` or `max-bytes` is reached.
    #[error("not stored: the outbox is full: it has {0}")]
    Full(String),
    /// The disk did not take it.
    #[error("not stored: the disk of the outbox fails: {0}")]
    Failing(Arc<str>),
    /// The bridge is stopping.
    #[error("not stored: the bridge is stopping")]
    Stopping,
    /// The disk did not answer in time: the message may be stored.
    #[error("outcome unknown: the disk of the outbox did not answer in time")]
    Unknown,
}

/// Gets the identifiers of stored messages, in their order. Must not block.
pub type Done = Box<dyn FnOnce(Result<Vec<Id>, NotStored>) + Send>;

/// Makes the record of a key from the identifiers, to be stored together with the messages. Must not block.
pub type KeyOf = Box<dyn FnOnce(&[Id]) -> (KeyHash, KeyRecord) + Send>;

/// The outbox. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Outbox;

impl Outbox {
    /// Whether one is configured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        false
    }

    /// Stores messages, all or none, for at most this time. `owner` is the name of the token or of the hook, or empty.
    /// If there is a key, its record is stored in the same transaction.
    pub fn store(
        &self,
        messages: Vec<(Message, Share)>,
        ttl: Duration,
        owner: &str,
        key: Option<KeyOf>,
        timeout: Duration,
        done: Done,
    ) {
        drop((messages, ttl, owner.len(), key, timeout));
        done(Err(NotStored::Off));
    }

    /// The keys that were stored by an earlier process, the oldest first. Call it once, at the start.
    #[must_use]
    pub fn take_keys(&self) -> Vec<(KeyHash, KeyRecord)> {
        Vec::new()
    }

    /// Stores the record of a key. `done` is called when it is on disk, at once where there is no outbox, and after
    /// `timeout` at the latest.
    pub fn put_key(&self, key: KeyHash, record: KeyRecord, timeout: Duration, done: Done) {
        drop((key, record, timeout));
        done(Ok(Vec::new()));
    }

    /// Stores the record of a key, or removes it, some time soon.
    pub fn update_key(&self, key: KeyHash, record: Option<KeyRecord>) {
        drop((key, record));
    }
}
