//! The size of a PUBLISH packet in bytes, in either version of MQTT.

use crate::message::{Message, Properties, Qos};

/// In MQTT 3.1.1 (3.3).
pub fn v4(message: &Message) -> usize {
    whole(without_properties(message))
}

/// In MQTT 5 (3.3).
pub fn v5(message: &Message) -> usize {
    let properties = properties(&message.properties);
    whole(without_properties(message) + variable_byte_integer(properties) + properties)
}

fn without_properties(message: &Message) -> usize {
    let packet_identifier = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    2 + message.topic.as_str().len() + packet_identifier + message.payload.len()
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

/// With its fixed header, given its remaining length (MQTT 5, 2.1.4).
fn whole(remaining: usize) -> usize {
    1 + variable_byte_integer(remaining) + remaining
}

/// How many bytes a Variable Byte Integer takes (MQTT 5, 1.5.5).
fn variable_byte_integer(value: usize) -> usize {
    match value {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}
