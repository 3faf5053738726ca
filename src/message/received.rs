//! A message from the broker.

use bytes::Bytes;

use super::MAX_USER_PROPERTIES;
use crate::memory::allocated;

/// A message from the broker, as it came: what is said of it here, only a broker that keeps to the specification holds to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// UTF-8.
    pub topic: Vec<u8>,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The broker had kept it for us.
    pub retain: bool,
    /// It may have been delivered before.
    pub dup: bool,
    /// What MQTT 5 says about it beside.
    pub properties: ReceivedProperties,
}

/// The properties of a PUBLISH that are the receiver's to know (MQTT 5, 3.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceivedProperties {
    /// 1 says that the payload is UTF-8 text.
    pub payload_format_indicator: Option<u8>,
    /// Seconds that are left of it.
    pub message_expiry_interval: Option<u32>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What tells the answer to this message from others.
    pub correlation_data: Option<Bytes>,
    /// What the payload is.
    pub content_type: Option<String>,
    /// Names and values in their order.
    pub user_properties: Vec<(String, String)>,
    /// Of the subscriptions that it is a copy for; empty where the broker does not tell.
    pub subscription_identifiers: Vec<u32>,
}

impl Received {
    /// What it takes in memory, in bytes.
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

/// What the parts of a message take in memory beyond what they take in a packet, at most: [`MAX_USER_PROPERTIES`] pairs,
/// the topic name, and what is no longer than a packet's own head.
pub const MAX_OVERHEAD: usize =
    MAX_USER_PROPERTIES * (size_of::<(String, String)>() + 2 * allocated(1)) + 8 * allocated(1) + size_of::<Received>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_for_what_it_takes() {
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
    fn no_message_takes_much_more_than_its_packet() {
        let pair = || ("a".to_owned(), "b".to_owned());
        let user_properties = (0..MAX_USER_PROPERTIES).map(|_| pair()).collect();
        let properties = ReceivedProperties { user_properties, ..ReceivedProperties::default() };
        let message = Received { topic: b"t".to_vec(), payload: vec![0; 1000], properties, ..Received::default() };
        assert!(message.size() <= 1000 + MAX_OVERHEAD, "{} {MAX_OVERHEAD}", message.size());
    }
}
