//! What a reader gets.

use std::sync::{Arc, Weak};

use super::buffered_message::BufferedMessage;
use crate::mqtt::outcome::Refusal;

/// How many messages a reader has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// This number.
    Known(u64),
    /// Perhaps some; the number is unknown.
    Unknown,
}

/// A message as a reader holds it.
#[derive(Debug)]
pub struct Handle {
    pub(super) message: Weak<BufferedMessage>,
    /// `None` for a long message, which the buffer may drop while it is read.
    pub(super) _holds: Option<Arc<BufferedMessage>>,
}

impl Handle {
    /// The message, if it still exists. It must not be kept during a wait.
    #[must_use]
    pub fn get(&self) -> Option<Arc<BufferedMessage>> {
        self.message.upgrade()
    }
}

/// What a reader gets.
#[derive(Debug, Default)]
pub struct Batch {
    /// What it missed before these.
    pub missed: Option<Missed>,
    /// The buffer dropped messages before they were read.
    pub lagged: bool,
    /// Messages with their positions.
    pub messages: Vec<(u64, Handle)>,
    /// Why no messages come for now, if this is new.
    pub refused: Option<Refusal>,
    /// No more messages will come.
    pub ended: bool,
}
