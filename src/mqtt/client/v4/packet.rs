//! The PUBLISH packet of a message in MQTT 3.1.1.

use rumqttc::Publish;
use rumqttc::mqttbytes::QoS;

use crate::message::{Message, Qos};

/// The packet of a message, without a packet identifier.
pub fn publish(message: &Message) -> Publish {
    let (topic, qos, payload) = (message.topic.as_str(), rumqttc_qos(message.qos), message.payload.clone());
    Publish { retain: message.retain, ..Publish::new(topic, qos, payload) }
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

    use super::*;
    use crate::config::Protocol;
    use crate::message::{Properties, TopicName};
    use crate::mqtt::client::packet_size;

    #[test]
    fn the_size_of_a_packet_is_what_rumqttc_will_write() {
        for (length, qos) in
            [(0, Qos::AtMostOnce), (118, Qos::AtLeastOnce), (16_373, Qos::ExactlyOnce), (2_097_143, Qos::AtMostOnce)]
        {
            let topic = TopicName::try_from("a/topic".to_owned()).unwrap();
            let payload = Bytes::from(vec![0; length]);
            let message = Message { topic, payload, qos, retain: false, properties: Properties::default() };
            let packet = Publish { pkid: 1, ..publish(&message) };
            assert_eq!(packet_size(Protocol::V311, &message), packet.size(), "{length}");
        }
    }
}
