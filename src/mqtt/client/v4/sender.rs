//! The sending half of a connection in MQTT 3.1.1.

use rumqttc::mqttbytes::QoS;
use rumqttc::{Client, Publish, SubscribeFilter};

use crate::message::{Message, Qos, TopicFilter};
use crate::mqtt::client::connection::{QueueFull, Sender};

pub struct Sender4(pub Client);

impl Sender for Sender4 {
    fn publish(&self, message: &Message) -> Result<(), QueueFull> {
        let Publish { topic, qos, retain, payload, .. } = publish(message);
        self.0.try_publish(topic, qos, retain, payload).map_err(|_| QueueFull)
    }

    fn subscribe(&self, filters: &[(TopicFilter, Qos)], _: Option<u32>) -> Result<(), QueueFull> {
        let filter = |(topic, qos): &(TopicFilter, Qos)| SubscribeFilter::new(topic.as_str().into(), rumqttc_qos(*qos));
        self.0.try_subscribe_many(filters.iter().map(filter)).map_err(|_| QueueFull)
    }

    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull> {
        self.0.try_unsubscribe(filter.as_str()).map_err(|_| QueueFull)
    }

    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull> {
        let qos = if qos == 1 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        // rumqttc reads only these two
        let mut received = Publish::new("", qos, []);
        received.pkid = packet_identifier;
        self.0.try_ack(&received).map_err(|_| QueueFull)
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_| QueueFull)
    }
}

/// The packet of a message, without a packet identifier.
pub fn publish(message: &Message) -> Publish {
    let mut publish = Publish::new(message.topic.as_str(), rumqttc_qos(message.qos), message.payload.clone());
    publish.retain = message.retain;
    publish
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
