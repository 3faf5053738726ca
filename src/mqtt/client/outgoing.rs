//! What rumqttc tells of the packets that it writes, the same in both versions of MQTT.

use rumqttc::Outgoing;

use super::connection::Event;

pub fn translate(outgoing: &Outgoing) -> Event {
    match outgoing {
        Outgoing::Publish(packet_identifier) => Event::PublishWritten(*packet_identifier),
        Outgoing::Subscribe(identifier) | Outgoing::Unsubscribe(identifier) => Event::SubscribeWritten(*identifier),
        Outgoing::PingReq => Event::Probed,
        Outgoing::Disconnect => Event::Disconnected,
        Outgoing::AwaitAck(identifier) => Event::Violation(format!("packet identifier {identifier} is in use")),
        _ => Event::Other,
    }
}
