//! The size of a PUBLISH packet in bytes, in either version of MQTT.

use crate::config::Protocol;
use crate::message::{Message, Properties, Qos};

/// The size of a whole PUBLISH packet in bytes (3.3 of either version).
pub fn packet_size(protocol: Protocol, message: &Message) -> usize {
    let packet_identifier = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    let properties = match protocol {
        Protocol::V311 => 0,
        Protocol::V5 => with_length(properties(&message.properties)),
    };
    1 + with_length(2 + message.topic.as_str().len() + packet_identifier + properties + message.payload.len())
}

fn properties(properties: &Properties) -> usize {
    let string = |length: usize| 1 + 2 + length;
    let user =
        properties.user_properties.iter().map(|(name, value)| string(name.as_str().len()) + 2 + value.as_str().len());
    properties.payload_format_indicator.map_or(0, |_| 1 + 1)
        + properties.message_expiry_interval.map_or(0, |_| 1 + 4)
        + properties.response_topic.as_ref().map_or(0, |topic| string(topic.as_str().len()))
        + properties.correlation_data.as_ref().map_or(0, |data| string(data.len()))
        + properties.content_type.as_ref().map_or(0, |text| string(text.as_str().len()))
        + user.sum::<usize>()
}

/// With its length before it, as a Variable Byte Integer (MQTT 5, 1.5.5).
fn with_length(bytes: usize) -> usize {
    let length = match bytes {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    length + bytes
}
