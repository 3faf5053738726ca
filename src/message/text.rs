//! Text that MQTT can carry.

use super::topic::{MAX_TOPIC_BYTES, TopicError, is_forbidden};
use crate::memory::allocated;

/// Text that MQTT can carry: at most 65,535 bytes of UTF-8, without control characters and noncharacters
/// (MQTT 5, 1.5.4): brokers end the connection over those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttString(String);

impl MqttString {
    /// The text as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.0.capacity())
    }
}

impl TryFrom<String> for MqttString {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        match text.chars().find(|&c| is_forbidden(c)) {
            _ if text.len() > MAX_TOPIC_BYTES => Err(TopicError::TooLong(text.len())),
            Some(character) => Err(TopicError::Forbidden(character)),
            None => Ok(Self(text)),
        }
    }
}
