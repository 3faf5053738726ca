//! What a broker announces in its CONNACK (MQTT 5, 3.2.2.3).

use rumqttc::v5::mqttbytes::v5::ConnAck;

use crate::mqtt::protocol::Limits;

pub fn limits(connack: &ConnAck) -> Limits {
    let default = Limits::default();
    let Some(announced) = &connack.properties else {
        return Limits { subscription_identifiers: true, ..default };
    };
    Limits {
        receive_maximum: announced.receive_max.unwrap_or(default.receive_maximum),
        exactly_once: default.exactly_once,
        max_packet_size: announced.max_packet_size.unwrap_or(default.max_packet_size),
        max_qos: announced.max_qos.unwrap_or(default.max_qos),
        retain_available: announced.retain_available != Some(0),
        subscription_identifiers: announced.subscription_identifiers_available != Some(0),
    }
}

/// What a broker must not announce as 0 (MQTT 5, 3.2.2.3.3 and 3.2.2.3.6), where it did.
pub fn forbidden(connack: &ConnAck) -> Option<&'static str> {
    let announced = connack.properties.as_ref()?;
    match (announced.receive_max, announced.max_packet_size) {
        (Some(0), _) => Some("Receive Maximum"),
        (_, Some(0)) => Some("Maximum Packet Size"),
        _ => None,
    }
}
