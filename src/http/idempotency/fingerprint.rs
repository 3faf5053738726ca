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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Qos;

    fn text(text: &str) -> MqttString {
        text.to_owned().try_into().unwrap()
    }

    fn topic(name: &str) -> TopicName {
        name.to_owned().try_into().unwrap()
    }

    fn message() -> Message {
        let (payload, properties) = (Bytes::from("p"), Properties::default());
        Message { topic: topic("a"), payload, qos: Qos::AtLeastOnce, retain: false, properties }
    }

    fn of(messages: &[Message]) -> [u8; 32] {
        Fingerprint::of("publish").with_messages(messages).finish()
    }

    fn with(change: impl FnOnce(&mut Message)) -> [u8; 32] {
        let mut message = message();
        change(&mut message);
        of(&[message])
    }

    #[test]
    fn each_part_of_a_request_makes_another_fingerprint() {
        let pair = |name: &str, value: &str| (text(name), text(value));
        let all = [
            of(&[message()]),
            of(&[]),
            of(&[message(), message()]),
            Fingerprint::of("topics").with_messages(&[message()]).finish(),
            Fingerprint::of("publish").with_messages(&[message()]).with_ttl(None).finish(),
            Fingerprint::of("publish").with_messages(&[message()]).with_ttl(Some(Duration::from_secs(1))).finish(),
            Fingerprint::of("publish").with_messages(&[message()]).with_ttl(Some(Duration::from_secs(2))).finish(),
            with(|message| message.topic = topic("b")),
            with(|message| message.payload = Bytes::from("q")),
            // the same bytes in a row
            with(|message| (message.topic, message.payload) = (topic("ap"), Bytes::new())),
            with(|message| message.qos = Qos::ExactlyOnce),
            with(|message| message.retain = true),
            with(|message| message.properties.payload_format_indicator = Some(false)),
            with(|message| message.properties.payload_format_indicator = Some(true)),
            with(|message| message.properties.message_expiry_interval = Some(1)),
            with(|message| message.properties.response_topic = Some(topic("x"))),
            with(|message| message.properties.correlation_data = Some(Bytes::from("x"))),
            with(|message| message.properties.content_type = Some(text("x"))),
            with(|message| message.properties.user_properties = vec![pair("x", "")]),
            with(|message| message.properties.user_properties = vec![pair("", "x")]),
            with(|message| message.properties.user_properties = vec![pair("x", ""), pair("x", "")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
        assert_eq!(of(&[message()]), of(&[message()]));
    }
}
