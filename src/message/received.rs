//! A message from the broker.

use bytes::Bytes;

use super::properties::MAX_USER_PROPERTIES;
use crate::memory::allocated;

/// A message as it came: only a broker that keeps to the specification sends what is said of the fields here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// UTF-8.
    pub topic: Vec<u8>,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The broker had stored it before we subscribed.
    pub retain: bool,
    /// It may be a repetition.
    pub dup: bool,
    /// What MQTT 5 adds.
    pub properties: ReceivedProperties,
}

/// The properties of a PUBLISH that a receiver needs (MQTT 5, 3.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceivedProperties {
    /// 1 says that the payload is UTF-8 text.
    pub payload_format_indicator: Option<u8>,
    /// Seconds until the message expires.
    pub message_expiry_interval: Option<u32>,
    /// The topic on which a response is expected.
    pub response_topic: Option<String>,
    /// Identifies the request to which a response belongs.
    pub correlation_data: Option<Bytes>,
    /// The type of the payload, usually a media type.
    pub content_type: Option<String>,
    /// Names and values in their order.
    pub user_properties: Vec<(String, String)>,
    /// Of the subscriptions for which the broker sent it; empty where the broker does not support them.
    pub subscription_identifiers: Vec<u32>,
}

impl Received {
    /// Its memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let properties = &self.properties;
        let pair = |(name, value): &(String, String)| allocated(name.capacity()) + allocated(value.capacity());
        allocated(size_of::<Self>())
            + allocated(self.topic.capacity())
            + allocated(self.payload.capacity())
            + allocated(properties.response_topic.as_ref().map_or(0, String::capacity))
            + allocated(properties.correlation_data.as_ref().map_or(0, Bytes::len))
            + allocated(properties.content_type.as_ref().map_or(0, String::capacity))
            + allocated(properties.subscription_identifiers.capacity() * size_of::<u32>())
            + allocated(properties.user_properties.capacity() * size_of::<(String, String)>())
            + properties.user_properties.iter().map(pair).sum::<usize>()
    }
}

/// The most memory that a message takes beyond the bytes of its packet: for the allocations of [`MAX_USER_PROPERTIES`]
/// pairs and of eight other parts, and for the struct itself.
pub const MAX_OVERHEAD: usize =
    MAX_USER_PROPERTIES * (size_of::<(String, String)>() + 2 * allocated(1)) + 8 * allocated(1) + size_of::<Received>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_with_its_memory() {
        let empty = Received::default().size();
        let mut message = Received { payload: vec![0; 1000], ..Received::default() };
        assert!(message.size() >= empty + 1000);
        message.properties.user_properties = vec![(String::new(), String::new()); MAX_USER_PROPERTIES];
        assert!(message.size() >= empty + 1000 + MAX_USER_PROPERTIES * 48, "an empty pair is two strings");
        let properties = ReceivedProperties {
            response_topic: Some("r".repeat(100)),
            correlation_data: Some(vec![0; 100].into()),
            content_type: Some("c".repeat(100)),
            subscription_identifiers: vec![0; 25],
            ..ReceivedProperties::default()
        };
        assert!(Received { properties, ..Received::default() }.size() >= empty + 400);
    }

    #[test]
    fn no_message_takes_more_memory_than_its_packet_and_the_overhead() {
        let pair = || ("a".to_owned(), "b".to_owned());
        let user_properties = (0..MAX_USER_PROPERTIES).map(|_| pair()).collect();
        let properties = ReceivedProperties { user_properties, ..ReceivedProperties::default() };
        let message = Received { topic: b"t".to_vec(), payload: vec![0; 1000], properties, ..Received::default() };
        assert!(message.size() <= 1000 + MAX_OVERHEAD, "{} {MAX_OVERHEAD}", message.size());
    }
}
