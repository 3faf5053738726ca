//! Why nothing was stored.

use std::sync::Arc;

use thiserror::Error;

/// Why nothing was stored, or why it is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotStored {
    /// No outbox is configured.
    #[error("there is no outbox: set `path` in the table [outbox] of the configuration, and restart the bridge")]
    Off,
    /// `max-messages` or `max-bytes` is reached.
    #[error("not stored: the outbox has {0}")]
    Full(String),
    /// The disk did not take it.
    #[error("not stored: the outbox cannot be used: {0}")]
    Failing(Arc<str>),
    /// The disk failed while it took it: it may be stored.
    #[error("outcome unknown: the outbox cannot be used: {0}")]
    Uncertain(Arc<str>),
    /// Too many requests wait for the disk.
    #[error("not stored: too many requests wait for the disk of the outbox")]
    Busy,
    /// The bridge is stopping.
    #[error("not stored: the bridge is stopping")]
    Stopping,
    /// The disk did not answer in time: the message may be stored.
    #[error("outcome unknown: the disk of the outbox did not answer in time")]
    Unknown,
}
