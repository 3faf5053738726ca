//! The properties of a message that is published.

use bytes::Bytes;

use super::text::MqttString;
use super::topic::TopicName;

/// The most user properties of a message: each takes far more memory than bytes on the wire.
pub const MAX_USER_PROPERTIES: usize = 100;

/// The properties of a PUBLISH that the publisher sets (MQTT 5, 3.3.2.3); each is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Whether the payload is UTF-8 text.
    pub payload_format_indicator: Option<bool>,
    /// Seconds after which the broker no longer delivers the message.
    pub message_expiry_interval: Option<u32>,
    /// The topic on which a response is expected.
    pub response_topic: Option<TopicName>,
    /// Identifies the request to which a response belongs.
    pub correlation_data: Option<Bytes>,
    /// The type of the payload, usually a media type.
    pub content_type: Option<MqttString>,
    /// Names and values in their order; a name may occur more than once.
    pub user_properties: Vec<(MqttString, MqttString)>,
}

impl Properties {
    /// Whether no property is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
