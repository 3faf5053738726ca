//! The sending half of a connection in MQTT 3.1.1.

use rumqttc::mqttbytes::QoS;
use rumqttc::{Client, Publish, SubscribeFilter};

use super::packet::{publish, rumqttc_qos};
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
        let received = Publish { pkid: packet_identifier, ..Publish::new("", qos, []) };
        self.0.try_ack(&received).map_err(|_| QueueFull)
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_| QueueFull)
    }
}
