//! What became of a message, and no more than is known.

use std::sync::Arc;

use thiserror::Error;

use super::reason::{PACKET_TOO_LARGE, Reason};
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::memory::Full;
use crate::metrics::PublishResult;

/// What the caller of a publish is told, once.
pub type Outcome = Result<Published, Failure>;

/// The broker has the message, or as much of that as its quality of service can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// QoS 0: handed over to a live connection, which may not have written it yet.
    HandedOver,
    /// QoS 1 and 2: acknowledged by the broker.
    Acknowledged {
        /// Of this message.
        packet_identifier: u16,
        /// Of PUBACK or PUBREC: 0, or 16 if nobody subscribes. MQTT 3.1.1 has none, and 16 is not told where the message
        /// had been sent before: that copy may have found somebody.
        reason_code: Option<u8>,
    },
}

/// The broker does not have the message, or nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// Certainly not sent: no connection came about in time.
    #[error("not sent: there was no connection to the broker within the timeout")]
    NotConnected,
    /// Certainly not sent: there is a connection, and something comes first, which is said here.
    #[error("not sent: there is a connection to the broker, which did not {0} within the timeout")]
    NotReady(&'static str),
    /// Certainly not sent: the broker had not acknowledged enough of what came before.
    #[error("not sent: the broker was busy with earlier messages for the whole timeout")]
    Busy,
    /// Certainly not sent: the daemon is about to end.
    #[error("not sent: the bridge is stopping")]
    Stopping,
    /// Certainly not sent: `max-waiting` is reached.
    #[error("not sent: too many messages wait for the broker")]
    TooManyWaiting,
    /// Certainly not sent: the `max-waiting` of the token is reached.
    #[error(
        "not sent: as many publishes and requests of this token wait as its `max-waiting` allows, or half of the bytes of all"
    )]
    ShareTaken,
    /// Certainly not sent: requests hold as much memory as they may.
    #[error("not sent: all requests together hold as much memory as they may")]
    NoRoom,
    /// Not sent: the packet is larger than we or the broker allow.
    #[error("not sent: an MQTT packet of {size} bytes is over the limit of {limit}")]
    PacketTooLarge {
        /// Of the whole PUBLISH packet, in bytes.
        size: usize,
        /// The smaller one of `max-packet-size` and the broker's own.
        limit: u32,
    },
    /// Not sent: the broker announced that it keeps no messages.
    #[error("not sent: this broker does not support `retain`")]
    RetainNotSupported,
    /// Not sent: over the broker's Maximum QoS.
    #[error("not sent: this broker supports `qos` {0} at most")]
    QosNotSupported(u8),
    /// Not sent: MQTT 3.1.1 has no properties.
    #[error("not sent: `properties` need MQTT 5, and `protocol` is \"3.1.1\"")]
    PropertiesNotSupported,
    /// The broker refused it, with this reason code.
    #[error("refused by the broker: {}", Reason(*.0))]
    Refused(u8),
    /// The same, in the broker's own words too (MQTT 5, 3.4.2.2.2), cut and printable.
    #[error("refused by the broker: {}: {words}", Reason(*.code))]
    RefusedSaying {
        /// The reason code.
        code: u8,
        /// The reason string.
        words: Arc<str>,
    },
    /// The broker refused one that was no larger, and each refusal costs the connection.
    #[error(
        "refused: this broker takes no MQTT packet of {size} bytes, as it refused one of {refused}: {}",
        Reason(PACKET_TOO_LARGE)
    )]
    TooLargeForBroker {
        /// Of the whole PUBLISH packet, in bytes.
        size: usize,
        /// Of the one that the broker refused.
        refused: usize,
    },
    /// The broker ended the connection each time that the message was sent.
    #[error("given up: the connection ended each of three times that the message was sent")]
    GivenUp,
    /// It was handed to a connection, and no acknowledgement came in time.
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
    /// The broker refused a message, perhaps in words.
    #[must_use]
    pub fn refused(code: u8, words: Option<Arc<str>>) -> Self {
        words.map_or(Self::Refused(code), |words| Self::RefusedSaying { code, words })
    }

    /// What the broker gave as the reason, for this message or one that was no larger.
    #[must_use]
    pub fn reason_code(&self) -> Option<u8> {
        match self {
            Self::Refused(code) | Self::RefusedSaying { code, .. } => Some(*code),
            Self::TooLargeForBroker { .. } => Some(PACKET_TOO_LARGE),
            _ => None,
        }
    }
}

/// A topic filter is not subscribed to, or nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The broker was certainly not asked: no connection came about in time.
    #[error("not done: there was no connection to the broker within the timeout")]
    NotConnected,
    /// The broker was certainly not asked, though there is a connection.
    #[error("not done: the broker was busy with earlier questions for the whole timeout")]
    Busy,
    /// The broker was not asked: the daemon is about to end.
    #[error("not done: the bridge is stopping")]
    Stopping,
    /// The broker was asked, and no answer came in time.
    #[error("asked, outcome unknown: no answer from the broker in time")]
    Unknown,
    /// The broker refused it, with this reason code.
    #[error("refused by the broker: {}", Reason(*.0))]
    Refused(u8),
    /// Connections ended over it: the broker is not asked for a while.
    #[error("not done: the topic filter is left out for a while, as the connection to the broker ended over it")]
    LeftOut,
    /// It is in the configuration file.
    #[error("`topic` is a [[subscribe]] of the configuration file: only there it can be changed")]
    OfConfiguration,
    /// The library cannot with a session that the broker keeps.
    #[error("`qos` 2 needs `clean-session = true`")]
    QosNotSupported,
    /// The bound of filters at run time is reached.
    #[error(
        "not done: there are {} topic filters beside those of the configuration already, or {} bytes of them",
        MAX_FILTERS,
        MAX_FILTER_BYTES
    )]
    TooManyFilters,
    /// `max-listeners` is reached.
    #[error("there are as many listeners as `max-listeners` allows")]
    TooManyListeners,
}

/// A request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// The request itself was not published, or nobody can tell.
    #[error(transparent)]
    Publish(#[from] Failure),
    /// The response topic is not subscribed to: then nothing was published.
    #[error("not sent: the response topic is not subscribed to: {0}")]
    Subscribe(#[from] Refusal),
    /// The broker says that nobody subscribes to the topic.
    #[error("nobody subscribes to the topic")]
    NobodySubscribes,
    /// It was published, and no answer came in time.
    #[error("sent, and no answer came within the timeout")]
    TimedOut,
    /// It was published, and the daemon is about to end.
    #[error("sent, and the bridge is stopping")]
    Stopping,
    /// Another request awaits its answer on the same response topic, where nothing tells the two from each other.
    #[error("not sent: another request awaits its answer on this response topic")]
    TopicTaken,
    /// There can be no topic for its answer.
    #[error("not sent: no response topic can be made of the client identifier")]
    NotPossible,
    /// As many requests await their answers as there may be.
    #[error("not sent: too many requests await an answer")]
    TooManyRequests,
}

/// What is counted.
pub fn result(outcome: &Outcome) -> PublishResult {
    match outcome {
        Ok(Published::HandedOver) => PublishResult::HandedOver,
        Ok(Published::Acknowledged { .. }) => PublishResult::Acknowledged,
        Err(Failure::NotConnected | Failure::NotReady(_)) => PublishResult::NotConnected,
        Err(Failure::Busy) => PublishResult::Busy,
        Err(Failure::Stopping) => PublishResult::Stopping,
        Err(Failure::TooManyWaiting | Failure::ShareTaken | Failure::NoRoom) => PublishResult::TooManyWaiting,
        Err(Failure::PacketTooLarge { .. }) => PublishResult::TooLarge,
        Err(failure) if failure.reason_code() == Some(PACKET_TOO_LARGE) => PublishResult::TooLarge,
        Err(Failure::RetainNotSupported | Failure::QosNotSupported(_) | Failure::PropertiesNotSupported) => {
            PublishResult::NotSupported
        }
        Err(Failure::Refused(_) | Failure::RefusedSaying { .. } | Failure::TooLargeForBroker { .. }) => {
            PublishResult::Refused
        }
        Err(Failure::GivenUp) => PublishResult::GivenUp,
        Err(Failure::Unknown) => PublishResult::Unknown,
    }
}
