//! What rumqttc is told before it connects in MQTT 3.1.1.

use std::time::Duration;

use rumqttc::{LastWill, MqttOptions};

use super::packet::rumqttc_qos;
use crate::config::{Mqtt, Session, Will};
use crate::mqtt::client::{bounds, transport};
use crate::mqtt::protocol::PACKET_IDENTIFIERS;

/// How long a single packet may take to be written, however slowly. `traffic` notices earlier that nothing is written.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

pub fn options(mqtt: &Mqtt, session: Session) -> MqttOptions {
    let (host, port) = transport::host_and_port(mqtt);
    let mut options = MqttOptions::new(&mqtt.client_id, host, port);
    options
        .set_transport(transport::transport(mqtt))
        .set_keep_alive(mqtt.keepalive)
        .set_clean_session(session == Session::Clean)
        .set_inflight(PACKET_IDENTIFIERS)
        // we acknowledge messages when they are in the journal
        .set_manual_acks(true)
        // what goes out is checked before it is handed over
        .set_max_packet_size(bounds::unannounced_inbound_limit(mqtt.max_packet_size) as usize, usize::MAX);
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.user, login.password.reveal());
    }
    if let Some(Will { message: will, .. }) = &mqtt.will {
        let (topic, payload) = (will.topic.as_str(), will.payload.clone());
        options.set_last_will(LastWill::new(topic, payload, rumqttc_qos(will.qos), will.retain));
    }
    options
}
