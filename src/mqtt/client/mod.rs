//! rumqttc behind one face: `connection` are what both versions of MQTT have in common, `v4` and `v5` alone name rumqttc.

pub mod connection;
pub mod version;

mod v4;
mod v5;

pub mod other_protocol;
#[cfg(feature = "tls")]
pub mod tls;
pub mod traffic;
pub mod transport;
