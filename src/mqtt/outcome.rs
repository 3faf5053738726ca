//! What became of a publish, of a subscription and of a request over MQTT: each outcome says no more than is known.

use std::sync::Arc;

use thiserror::Error;

use super::reason::{PACKET_TOO_LARGE, Reason};
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::memory::Full;
use crate::metrics::PublishResult;

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
    /// Certainly not sent: the `max-waiting` of the token is reached.
    #[error(
        "not sent: as many publishes and requests of this token wait as its `max-waiting` allows, or half of the bytes of all"
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

/// A topic filter is not subscribed to, or that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The broker was certainly not asked: no connection came about in time.
    #[error("not done: there was no connection to the broker within the timeout")]
    NotConnected,
    /// The broker was certainly not asked, though there is a connection.
    #[error("not done: the broker was busy with earlier questions for the whole timeout")]
    Busy,
    /// The broker was not asked: the daemon is stopping.
    #[error("not done: the bridge is stopping")]
    Stopping,
    /// The broker was asked, and no answer came in time.
    #[error("asked, outcome unknown: no answer from the broker in time")]
    Unknown,
    /// The broker refused it, with this reason code.
    #[error("refused by the broker: {}", Reason(*.0))]
    Refused(u8),
    /// The broker is not asked for a while, as connections ended over this topic filter.
    #[error("not done: the topic filter is left out for a while, as the connection to the broker ended over it")]
    LeftOut,
    /// The topic filter is in the configuration file.
    #[error("`topic` is a [[subscribe]] of the configuration file: only there it can be changed")]
    OfConfiguration,
    /// QoS 2 is not supported with a session that the broker keeps.
    #[error("`qos` 2 needs `clean-session = true`")]
    QosNotSupported,
    /// The most topic filters at run time are subscribed to.
    #[error(
        "not done: there are already {} topic filters besides those of the configuration, or {} bytes of them",
        MAX_FILTERS,
        MAX_FILTER_BYTES
    )]
    TooManyFilters,
    /// `max-listeners` is reached.
    #[error("there are as many listeners as `max-listeners` allows")]
    TooManyListeners,
}

/// A request over MQTT has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// The request itself was not published, or that is not known.
    #[error(transparent)]
    Publish(#[from] Failure),
    /// Nothing was published, as the response topic is not subscribed to.
    #[error("not sent: the response topic is not subscribed to: {0}")]
    Subscribe(#[from] Refusal),
    /// The broker says that nobody subscribes to the topic.
    #[error("nobody subscribes to the topic")]
    NobodySubscribes,
    /// It was published, and no answer came in time.
    #[error("sent, and no answer came within the timeout")]
    TimedOut,
    /// It was published, and the daemon is stopping.
    #[error("sent, and the bridge is stopping")]
    Stopping,
    /// Another request awaits its answer on the same response topic, and nothing would tell the two answers apart.
    #[error("not sent: another request awaits its answer on this response topic")]
    TopicTaken,
    /// No response topic can be made.
    #[error("not sent: no response topic can be made of the client identifier")]
    NotPossible,
    /// The most requests await their answers.
    #[error("not sent: too many requests await an answer")]
    TooManyRequests,
}

/// How an outcome is counted.
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
