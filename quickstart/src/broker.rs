//! The embedded broker's configuration.

use std::collections::HashMap;
use std::net::SocketAddr;

use rumqttd::{ConnectionSettings, RouterConfig, ServerSettings};

/// In bytes: more than the bridge accepts.
const MAX_PACKET: usize = 2 * 1024 * 1024;

/// A broker that speaks MQTT 5 at one address and, where another is given, MQTT 3.1.1 there.
pub fn config(v5: SocketAddr, v4: Option<SocketAddr>) -> rumqttd::Config {
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 4 * MAX_PACKET,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let servers = |name: &str, listen| HashMap::from([(name.to_owned(), server(name, listen))]);
    let (v4, v5) = (v4.map(|listen| servers("v4", listen)), Some(servers("v5", v5)));
    rumqttd::Config { router, v4, v5, ..rumqttd::Config::default() }
}

fn server(name: &str, listen: SocketAddr) -> ServerSettings {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: MAX_PACKET,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    ServerSettings { name: name.to_owned(), listen, tls: None, next_connection_delay_ms: 1, connections }
}
