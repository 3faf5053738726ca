//! A message from the broker.

use bytes::Bytes;

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
        let pairs = properties.user_properties.iter().map(|(name, value)| name.len() + value.len() + 64);
        size_of::<Self>()
            + self.topic.len()
            + self.payload.len()
            + properties.response_topic.as_ref().map_or(0, String::len)
            + properties.correlation_data.as_ref().map_or(0, Bytes::len)
            + properties.content_type.as_ref().map_or(0, String::len)
            + pairs.sum::<usize>()
    }
}
