//! What is published and subscribed to, checked when it is made. Does no I/O.

pub mod headers;
pub mod json;
mod memory;
mod priority;
mod properties;
mod received;
mod template;
mod text;
mod topic;

use std::fmt;

use bytes::Bytes;

pub use self::memory::MAX_OVERHEAD;
pub use self::priority::Priority;
pub use self::properties::{MAX_USER_PROPERTIES, Properties};
pub use self::received::{Received, ReceivedProperties};
pub use self::template::{Placeholder, TopicTemplate};
pub use self::text::MqttString;
pub use self::topic::{MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS, TopicError, TopicFilter, TopicName};

/// A message that may be published on a connection that many callers share.
///
/// The limits of the broker are checked when it is handed over to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: TopicName,
    /// Any bytes, or none.
    pub payload: Bytes,
    /// How reliably it is delivered.
    pub qos: Qos,
    /// Whether the broker stores it for later subscribers.
    pub retain: bool,
    /// What MQTT 5 adds.
    pub properties: Properties,
}

/// Quality of service (MQTT 5, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// 0: sent once, not acknowledged.
    AtMostOnce = 0,
    /// 1: acknowledged, perhaps delivered twice.
    AtLeastOnce = 1,
    /// 2: acknowledged and delivered once.
    ExactlyOnce = 2,
}

impl TryFrom<i64> for Qos {
    type Error = &'static str;

    fn try_from(level: i64) -> Result<Self, Self::Error> {
        match level {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err("must be 0, 1 or 2"),
        }
    }
}

impl fmt::Display for Qos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}
