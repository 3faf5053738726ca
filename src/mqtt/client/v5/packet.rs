//! The PUBLISH packet of a message in MQTT 5.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

use crate::message::{Message, MqttString, Properties, Qos};

/// The packet of a message, without a packet identifier.
pub fn publish(message: &Message) -> Publish {
    let (topic, qos, payload) = (message.topic.as_str(), rumqttc_qos(message.qos), message.payload.clone());
    let properties = properties(&message.properties);
    Publish { retain: message.retain, ..Publish::new(topic, qos, payload, Some(properties)) }
}

pub fn properties(properties: &Properties) -> PublishProperties {
    let pair = |(name, value): &(MqttString, MqttString)| (name.as_str().to_owned(), value.as_str().to_owned());
    PublishProperties {
        payload_format_indicator: properties.payload_format_indicator.map(u8::from),
        message_expiry_interval: properties.message_expiry_interval,
        response_topic: properties.response_topic.as_ref().map(|topic| topic.as_str().to_owned()),
        correlation_data: properties.correlation_data.clone(),
        content_type: properties.content_type.as_ref().map(|text| text.as_str().to_owned()),
        user_properties: properties.user_properties.iter().map(pair).collect(),
        ..PublishProperties::default()
    }
}

pub fn rumqttc_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::config::Protocol;
    use crate::message::TopicName;
    use crate::mqtt::client::packet_size;

    fn text(length: usize) -> MqttString {
        MqttString::try_from("x".repeat(length)).unwrap()
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn the_size_of_a_packet_is_what_rumqttc_will_write(
            lengths in prop::array::uniform5(prop::option::of(0usize..200)),
            payload in prop::sample::select(vec![0, 100, 110, 119, 127, 16_360, 16_383, 2_097_100, 2_097_152]),
            qos in 0i64..3,
            expiry in any::<Option<u32>>(),
        ) {
            let [topic, correlation, content, name, value] = lengths;
            let message = Message {
                topic: TopicName::try_from("t".repeat(1 + topic.unwrap_or(0))).unwrap(),
                payload: Bytes::from(vec![0; payload]),
                qos: Qos::try_from(qos).unwrap(),
                retain: false,
                properties: Properties {
                    payload_format_indicator: topic.map(|length| length % 2 == 0),
                    message_expiry_interval: expiry,
                    response_topic: value.map(|length| TopicName::try_from("r".repeat(length + 1)).unwrap()),
                    correlation_data: correlation.map(|length| Bytes::from(vec![0; length])),
                    content_type: content.map(text),
                    user_properties: name.into_iter().map(|length| (text(length), text(value.unwrap_or(3)))).collect(),
                },
            };
            let packet = Publish { pkid: 1, ..publish(&message) };
            prop_assert_eq!(packet_size(Protocol::V5, &message), packet.size());
        }
    }
}
