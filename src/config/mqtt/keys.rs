//! The keys of `[mqtt]` and of the tables in it.

use super::location::{Location, Transport};
use super::types::Protocol;
use crate::config::kind::{
    Alpn, FilePath, InBytes, InSeconds, LARGEST_PACKET, MqttText, Payload, Seconds, SecretText, Text, Whole,
};
use crate::message::{Qos, TopicName};

/// Publishes that may be unacknowledged at a time.
pub const MAX_INFLIGHT: u16 = 1000;
/// Not even a CONNECT with its properties fits into less.
const SMALLEST_MAX_PACKET: u32 = 1024;

keys! {
    pub struct MqttKeys {
        server: Location,
        port: Whole<u16, 1, 65_535>,
        keepalive: InSeconds<Whole<u16, 5, 65_535>>,
        user: MqttText,
        password: SecretText,
        password_file: Text,
        protocol: Protocol,
        client_id: MqttText,
        clean_session: bool,
        session_expiry: InSeconds<Whole<u32, 1, { u32::MAX }>>,
        max_packet_size: InBytes<Whole<u32, SMALLEST_MAX_PACKET, LARGEST_PACKET>>,
        max_inflight: Whole<u16, 1, { MAX_INFLIGHT as u32 }>,
        reconnect_max: Seconds<10>,
        transport: Transport;
        tls: TlsKeys,
        will: WillKeys,
    }
}

keys! {
    pub struct TlsKeys {
        enabled: bool,
        ca_file: FilePath,
        cert_file: FilePath,
        key_file: FilePath,
        alpn: Alpn,
    }
}

keys! {
    pub struct WillKeys "[mqtt.will]" {
        topic: TopicName,
        payload: Payload,
        qos: Qos,
        retain: bool,
        online: Payload,
    }
}
