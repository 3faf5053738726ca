//! What is known of a request that has an idempotency key.

use std::time::SystemTime;

use super::id::Id;

/// SHA-256 of an owner and a key: the key itself is not kept.
pub type KeyHash = [u8; 32];

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The name of the token or of the hook, or empty.
    pub owner: Box<str>,
    /// SHA-256 of the request.
    pub request: [u8; 32],
    /// When the first request came.
    pub since: SystemTime,
    /// `None` while it runs. If the process ended meanwhile, nobody knows its outcome.
    pub answer: Option<Answer>,
}

/// The answer to the first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `code` of the JSON body, which is counted.
    pub code: u8,
    /// JSON.
    pub body: Box<[u8]>,
    /// `Location`.
    pub location: Option<Box<str>>,
    /// Whether no cache may store it.
    pub not_stored: bool,
}

/// Makes the record of a key from the identifiers, to be stored together with the messages. Must not block.
pub type KeyOf = Box<dyn FnOnce(&[Id]) -> (KeyHash, KeyRecord) + Send>;
