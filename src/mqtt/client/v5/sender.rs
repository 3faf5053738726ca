//! The sending half of a connection in MQTT 5.

use bytes::Bytes;
use rumqttc::v5::Client;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, RetainForwardRule, SubscribeProperties};

use super::packet::{properties, rumqttc_qos};
use crate::message::{Message, Qos, TopicFilter};
use crate::mqtt::client::connection::{QueueFull, Sender};

pub struct Sender5 {
    pub client: Client,
    /// What a SUBSCRIBE asks for about retained messages (MQTT 5, 3.8.3.1).
    pub retain_handling: RetainForwardRule,
}

impl Sender for Sender5 {
    fn publish(&self, message: &Message) -> Result<(), QueueFull> {
        let (topic, qos, payload) = (message.topic.as_str(), rumqttc_qos(message.qos), message.payload.clone());
        let properties = properties(&message.properties);
        let handed_over = self.client.try_publish_with_properties(topic, qos, message.retain, payload, properties);
        handed_over.map_err(|_| QueueFull)
    }

    fn subscribe(&self, filters: &[(TopicFilter, Qos)], identifier: Option<u32>) -> Result<(), QueueFull> {
        let filters = filters.iter().map(|(topic, qos)| Filter {
            retain_forward_rule: self.retain_handling.clone(),
            ..Filter::new(topic.as_str(), rumqttc_qos(*qos))
        });
        let id = identifier.and_then(|identifier| usize::try_from(identifier).ok());
        let properties = SubscribeProperties { id, user_properties: Vec::new() };
        self.client.try_subscribe_many_with_properties(filters, properties).map_err(|_| QueueFull)
    }

    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull> {
        self.client.try_unsubscribe(filter.as_str()).map_err(|_| QueueFull)
    }

    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull> {
        let qos = if qos == 1 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        // rumqttc reads only these two
        let received = Publish { pkid: packet_identifier, ..Publish::new("", qos, Bytes::new(), None) };
        self.client.try_ack(&received).map_err(|_| QueueFull)
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        self.client.try_disconnect().map_err(|_| QueueFull)
    }
}
