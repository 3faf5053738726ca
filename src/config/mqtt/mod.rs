//! `[mqtt]`: the broker, how it is reached, and who we are there.

mod types;

mod broker;
mod client_id;
mod keys;
mod location;
mod login;
mod tls;
mod will;

use std::time::Duration;

use self::keys::MAX_INFLIGHT;
pub use self::keys::MqttKeys;
pub use self::types::{Login, Mqtt, Place, Protocol, Secret, Server, Session, Will};
use super::environment::Environment;
use super::fault::Fault;
use super::source::Source;

/// The journal holds so many messages.
pub const RECEIVE_MAXIMUM: u16 = 10_000;

/// The values, with their defaults and the rules across keys.
pub fn read(keys: &mut MqttKeys, source: &Source, environment: &Environment) -> Result<Mqtt, Fault> {
    keys.server.override_by("MQTT_SERVER", environment)?;
    keys.port.override_by("MQTT_PORT", environment)?;
    keys.keepalive.override_by("MQTT_KEEPALIVE", environment)?;
    keys.user.override_by("MQTT_USER", environment)?;
    let (server, tls) = broker::read(keys, source, environment)?;
    let keepalive = keys.keepalive.read()?.unwrap_or(60);
    let client_id = keys.client_id.read()?;
    let max_packet_size = keys.max_packet_size.read()?.unwrap_or(1_048_576);
    let max_inflight = keys.max_inflight.read()?;
    let reconnect_max = keys.reconnect_max.read()?.unwrap_or(Duration::from_secs(30));
    let expiry = keys.session_expiry.read()?.unwrap_or(86_400);
    let session = if keys.clean_session.read()?.unwrap_or(true) { Session::Clean } else { Session::Kept { expiry } };
    let will = will::read(&keys.will, max_packet_size)?;
    if client_id.as_ref().is_some_and(String::is_empty) {
        let fault =
            |why: String| Err(keys.client_id.fault(format!("{} must not be empty where {why}", keys.client_id)));
        if session != Session::Clean {
            return fault(format!("{} is false: what is kept needs a name", keys.clean_session));
        }
        if will.as_ref().is_some_and(|will| will.online.is_some()) {
            // under another name the will of the last connection comes long after the `online` of this one
            return fault("there is `online` in [mqtt.will]".to_owned());
        }
    }
    let protocol = keys.protocol.read()?.unwrap_or(Protocol::V5);
    Ok(Mqtt {
        server,
        tls,
        keepalive: Duration::from_secs(keepalive.into()),
        login: login::read(keys, source, environment)?,
        client_id: client_id.unwrap_or_else(|| client_id::derived(source)),
        protocol,
        session,
        max_packet_size,
        max_inflight: max_inflight.unwrap_or(match protocol {
            // a broker of this version cannot tell its limit, and some end the connection or drop what is above it
            Protocol::V311 => 100,
            Protocol::V5 => MAX_INFLIGHT,
        }),
        webhook: None,
        receive_maximum: RECEIVE_MAXIMUM,
        retained_once: false,
        reconnect_max,
        will,
    })
}
