//! A message from the broker.

use bytes::Bytes;

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
