//! The properties of a message that is published.

use bytes::Bytes;

use super::text::MqttString;
use super::topic::TopicName;
use crate::memory::allocated;

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

    /// Their memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let user_properties = self.user_properties.iter().map(|(name, value)| name.bytes() + value.bytes());
        self.response_topic.as_ref().map_or(0, TopicName::bytes)
            + allocated(self.correlation_data.as_ref().map_or(0, Bytes::len))
            + self.content_type.as_ref().map_or(0, MqttString::bytes)
            + allocated(self.user_properties.capacity() * size_of::<(MqttString, MqttString)>())
            + user_properties.sum::<usize>()
    }
}
