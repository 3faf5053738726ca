//! One accepted message and its state.

use std::time::Instant;

use super::waiting::{Caller, Waiting};
use crate::memory::Share;
use crate::message::Message;

/// A message that was lost this often is sent alone, to find out which one the broker cannot take.
const SUSPECT_TRIES: u8 = 2;
/// How often a message may be sent on connections that end before it is acknowledged.
const MAX_TRIES: u8 = 3;

/// The order of acceptance.
pub type Sequence = u64;

/// An accepted message.
pub struct Entry {
    pub message: Message,
    /// Its share of the memory; the bridge's own messages, and those of the outbox, have none.
    pub share: Option<Share>,
    /// Its place in the outbox, if it is stored there.
    pub stored: Option<u64>,
    /// `None` once the caller has the outcome.
    pub caller: Option<Waiting>,
    /// Is told an outcome that is known after the caller got "unknown".
    pub late: Option<Caller>,
    pub deadline: Instant,
    pub state: State,
    /// How far it ever came, on any connection.
    pub reached: Reached,
    pub losses: Losses,
    /// The ordinal of the packet identifier that it got last.
    pub ordinal: Option<u64>,
    /// The MQTT client was interrupted after the hand-over and before it reported the message as written.
    pub interrupted: bool,
    /// The PUBREC has come: the broker has the message.
    pub received: bool,
    /// Of the PUBREC, in MQTT 5.
    pub reason_code: Option<u8>,
}

impl Entry {
    /// Whether it was ever handed to a connection: then only the broker can know.
    pub fn ever_handed_over(&self) -> bool {
        self.reached > Reached::Nothing
    }
}

/// How far a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    Nothing,
    /// It was handed over to the MQTT client.
    Client,
    /// The MQTT client wrote it, or may have written it.
    Network,
}

/// The states of a message until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Waiting,
    HandedOver {
        since: Instant,
        /// The caller got its outcome at the hand-over (QoS 0).
        is_promised: bool,
    },
    Sent {
        packet_identifier: u16,
        since: Instant,
    },
}

/// The connections that ended while a message was unacknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Those that ended for an unknown reason.
    pub count: u8,
    /// One ended over a message that may have been this one.
    pub is_accused: bool,
}

impl Losses {
    /// Whether the message may be the reason: then it is sent alone.
    pub fn is_suspicious(self) -> bool {
        self.is_accused || self.count >= SUSPECT_TRIES
    }

    /// Whether it must not be sent again.
    pub fn are_too_many(self) -> bool {
        self.count >= MAX_TRIES
    }
}
