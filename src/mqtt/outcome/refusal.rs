//! Why a topic filter is not subscribed to, and why a request over MQTT has no answer.

use thiserror::Error;

use super::Failure;
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::mqtt::reason::Reason;

/// A topic filter is not subscribed to, or it is unknown whether it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The broker was certainly not asked: there was no connection in time.
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
    /// A wider topic filter is subscribed to, and the broker does not tell for which filter it sends a message.
    #[error(
        "not done: a wider topic filter is subscribed to, and only with subscription identifiers (MQTT 5) the broker \
         can be asked for one retained message besides"
    )]
    RetainedNotAvailable,
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
    /// The request itself was not published, or it is unknown whether it was.
    #[error(transparent)]
    Publish(#[from] Failure),
    /// Nothing was published, as the response topic is not subscribed to.
    #[error("not sent: the response topic is not subscribed to: {0}")]
    Subscribe(#[from] Refusal),
    /// The broker says that no client subscribes to the topic.
    #[error("nobody subscribes to the topic")]
    NobodySubscribes,
    /// It was published, and no answer came in time.
    #[error("sent, and no answer came within the timeout")]
    TimedOut,
    /// It was published, and the daemon is stopping.
    #[error("sent, and the bridge is stopping")]
    Stopping,
    /// Another request awaits its answer on the same response topic, and the two answers could not be distinguished.
    #[error("not sent: another request awaits its answer on this response topic")]
    TopicTaken,
    /// No response topic can be made.
    #[error("not sent: no response topic can be made of the client identifier")]
    NotPossible,
    /// The most requests await their answers.
    #[error("not sent: too many requests await an answer")]
    TooManyRequests,
}
