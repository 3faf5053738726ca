//! What makes two requests the same: the endpoint and the messages.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::message::{Message, MqttString, Properties, TopicName};

/// SHA-256 of a request, as it grows. Each part has its length or its presence before it, so that no two requests have
/// the same bytes.
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of a request to this endpoint.
    pub fn of(endpoint: &str) -> Self {
        Self(Sha256::new()).with_bytes(endpoint.as_bytes())
    }

    /// With the time for which messages are stored, if they are.
    pub fn with_ttl(self, ttl: Option<Duration>) -> Self {
        self.with_optional(ttl.map(|ttl| ttl.as_nanos().to_be_bytes()))
    }

    /// With these messages, before anything is added to them that may differ in a repetition.
    pub fn with_messages(self, messages: &[Message]) -> Self {
        messages.iter().fold(self.with_bytes(&messages.len().to_be_bytes()), Self::with_message)
    }

    /// With a text that may be missing.
    pub fn with_optional(self, part: Option<impl AsRef<[u8]>>) -> Self {
        match part {
            Some(part) => self.with_bytes(&[1]).with_bytes(part.as_ref()),
            None => self.with_bytes(&[0]),
        }
    }

    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn with_message(self, message: &Message) -> Self {
        let Message { topic, payload, qos, retain, properties } = message;
        let Properties {
            payload_format_indicator,
            message_expiry_interval,
            response_topic,
            correlation_data,
            content_type,
            user_properties,
        } = properties;
        let all = self
            .with_bytes(topic.as_str().as_bytes())
            .with_bytes(payload)
            .with_bytes(&[*qos as u8, u8::from(*retain)])
            .with_optional(payload_format_indicator.map(|indicator| [u8::from(indicator)]))
            .with_optional(message_expiry_interval.map(u32::to_be_bytes))
            .with_optional(response_topic.as_ref().map(TopicName::as_str))
            .with_optional(correlation_data.as_ref())
            .with_optional(content_type.as_ref().map(MqttString::as_str))
            .with_bytes(&user_properties.len().to_be_bytes());
        let texts = user_properties.iter().flat_map(|(name, value)| [name, value]);
        texts.fold(all, |all, text| all.with_bytes(text.as_str().as_bytes()))
    }

    fn with_bytes(self, bytes: &[u8]) -> Self {
        Self(self.0.chain_update((bytes.len() as u64).to_be_bytes()).chain_update(bytes))
    }
}
