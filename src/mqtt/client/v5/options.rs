//! What rumqttc is told before it connects in MQTT 5.

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::v5::LastWill;

use super::packet::rumqttc_qos;
use crate::config::{Mqtt, Session, Will};
use crate::mqtt::client::{bounds, transport};
use crate::mqtt::protocol::PACKET_IDENTIFIERS;

pub fn options(mqtt: &Mqtt, session: Session) -> MqttOptions {
    let (host, port) = transport::host_and_port(mqtt);
    let mut options = MqttOptions::new(&mqtt.client_id, host, port);
    let timeout = transport::connect_timeout(mqtt);
    options
        .set_transport(transport::transport(mqtt))
        .set_network_options(transport::network_options(timeout))
        .set_connection_timeout(timeout.as_secs())
        .set_keep_alive(mqtt.keepalive)
        .set_outgoing_inflight_upper_limit(PACKET_IDENTIFIERS)
        // we acknowledge messages when they are recorded or delivered, and hold so many at a time
        .set_manual_acks(true)
        .set_receive_maximum(Some(mqtt.receive_maximum))
        // announced to the broker too, which then does not send longer packets
        .set_max_packet_size(Some(bounds::inbound_limit(mqtt.max_packet_size)));
    match session {
        Session::Clean => options.set_clean_start(true),
        // without an expiry interval the session would end with the connection
        Session::Kept { expiry } => options.set_clean_start(false).set_session_expiry_interval(Some(expiry)),
    };
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.user, login.password.reveal());
    }
    if let Some(Will { message: will, .. }) = &mqtt.will {
        let (topic, payload) = (will.topic.as_str(), will.payload.clone());
        options.set_last_will(LastWill::new(topic, payload, rumqttc_qos(will.qos), will.retain, None));
    }
    options
}
