//! The memory of messages.

use bytes::Bytes;

use super::properties::{MAX_USER_PROPERTIES, Properties};
use super::received::Received;
use super::{Message, MqttString, TopicName};
use crate::memory::allocated;

/// The memory that a waiting message takes besides its parts, in bytes: its entries in tables, and its caller.
const ALONE: usize = 1024;

impl Message {
    /// Its memory while it waits, in bytes. The MQTT client has a copy of all but the payload, from the hand-over to
    /// the acknowledgement.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ALONE + allocated(self.payload.len()) + 2 * (self.topic.bytes() + self.properties.bytes())
    }

    /// The memory that it takes in addition with these properties too.
    #[must_use]
    pub fn bytes_with(&self, added: &Properties) -> usize {
        if added.user_properties.is_empty() {
            return 0;
        }
        // a list that grows has up to twice the room
        let user_properties = self.properties.user_properties.len() + added.user_properties.len();
        2 * (added.bytes() + allocated(2 * user_properties * size_of::<(MqttString, MqttString)>()))
    }
}

impl Properties {
    /// Their memory, in bytes.
    fn bytes(&self) -> usize {
        let user_properties = self.user_properties.iter().map(|(name, value)| name.bytes() + value.bytes());
        self.response_topic.as_ref().map_or(0, TopicName::bytes)
            + allocated(self.correlation_data.as_ref().map_or(0, Bytes::len))
            + self.content_type.as_ref().map_or(0, MqttString::bytes)
            + allocated(self.user_properties.capacity() * size_of::<(MqttString, MqttString)>())
            + user_properties.sum::<usize>()
    }
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
    use crate::message::ReceivedProperties;

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
