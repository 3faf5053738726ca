//! What became of a publish, of a subscription and of a request over MQTT: each outcome says no more than is known.

mod counted;
pub mod reason;
mod refusal;

use std::sync::Arc;

use thiserror::Error;

pub use self::counted::result;
pub use self::refusal::{NoAnswer, Refusal};

use self::reason::{PACKET_TOO_LARGE, Reason};
use crate::memory::Full;

/// The outcome of a publish, which its caller is told once.
pub type Outcome = Result<Published, Failure>;

/// The message was published, as far as its QoS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// QoS 0: handed over to a live connection, which may not have written it yet.
    HandedOver,
    /// QoS 1 and 2: acknowledged by the broker.
    Acknowledged {
        /// Of this message.
        packet_identifier: u16,
        /// Of the PUBACK or PUBREC: 0, or 16 if nobody subscribes. `None` in MQTT 3.1.1, and instead of 16 if the
        /// message had been sent before, as that copy may have reached a subscriber.
        reason_code: Option<u8>,
    },
}

/// The message was not published, or that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// Certainly not sent: no connection came about in time.
    #[error("not sent: there was no connection to the broker within the timeout")]
    NotConnected,
    /// Certainly not sent: there is a connection, on which the broker has to do something first.
    #[error("not sent: there is a connection to the broker, which did not {0} within the timeout")]
    NotReady(&'static str),
    /// Certainly not sent: too many earlier messages were unacknowledged.
    #[error("not sent: the broker was busy with earlier messages for the whole timeout")]
    Busy,
    /// Certainly not sent: the daemon is stopping.
    #[error("not sent: the bridge is stopping")]
    Stopping,
    /// Certainly not sent: `max-waiting` is reached.
    #[error("not sent: too many messages wait for the broker")]
    TooManyWaiting,
    /// Certainly not sent: the `max-waiting` of the token is reached, or that of the hook.
    #[error(
        "not sent: as many publishes and requests of this token or hook wait as its `max-waiting` allows, or half of the bytes of all"
    )]
    ShareTaken,
    /// Certainly not sent: the memory for requests is used up.
    #[error("not sent: all requests together hold as much memory as they may")]
    NoRoom,
    /// Not sent: the packet is over our limit or the broker's.
    #[error("not sent: an MQTT packet of {size} bytes is over the limit of {limit}")]
    PacketTooLarge {
        /// Of the whole PUBLISH packet, in bytes.
        size: usize,
        /// The lower one of `max-packet-size` and the limit of the broker.
        limit: u32,
    },
    /// Not sent: the broker announced that it stores no retained messages.
    #[error("not sent: this broker does not support `retain`")]
    RetainNotSupported,
    /// Not sent: over the Maximum QoS of the broker.
    #[error("not sent: this broker supports `qos` {0} at most")]
    QosNotSupported(u8),
    /// Not sent: MQTT 3.1.1 has no properties.
    #[error("not sent: `properties` need MQTT 5, and `protocol` is \"3.1.1\"")]
    PropertiesNotSupported,
    /// The broker refused it, with this reason code.
    #[error("refused by the broker: {}", Reason(*.0))]
    Refused(u8),
    /// The same, with the broker's reason string (MQTT 5, 3.4.2.2.2).
    #[error("refused by the broker: {}: {words}", Reason(*.code))]
    RefusedSaying {
        /// The reason code.
        code: u8,
        /// Cut and printable.
        words: Arc<str>,
    },
    /// Not sent: the broker refused a packet that was no larger, and each such refusal ends the connection.
    #[error(
        "refused: this broker takes no MQTT packet of {size} bytes, as it refused one of {refused}: {}",
        Reason(PACKET_TOO_LARGE)
    )]
    TooLargeForBroker {
        /// Of the whole PUBLISH packet, in bytes.
        size: usize,
        /// Of the packet that the broker refused.
        refused: usize,
    },
    /// The connection ended each time that the message was sent.
    #[error("given up: the connection ended each of three times that the message was sent")]
    GivenUp,
    /// It was handed over to a connection, and no acknowledgement came in time.
    #[error("sent, outcome unknown: no acknowledgement from the broker in time")]
    Unknown,
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::All => Self::NoRoom,
            Full::Part => Self::ShareTaken,
        }
    }
}

impl Failure {
    /// The broker refused the message, perhaps with a reason string.
    #[must_use]
    pub fn refused(code: u8, words: Option<Arc<str>>) -> Self {
        words.map_or(Self::Refused(code), |words| Self::RefusedSaying { code, words })
    }

    /// The reason code of the broker, for this message or for one that was no larger.
    #[must_use]
    pub fn reason_code(&self) -> Option<u8> {
        match self {
            Self::Refused(code) | Self::RefusedSaying { code, .. } => Some(*code),
            Self::TooLargeForBroker { .. } => Some(PACKET_TOO_LARGE),
            _ => None,
        }
    }
}
