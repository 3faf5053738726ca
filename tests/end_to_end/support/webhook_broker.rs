//! A scripted broker of MQTT 5 that delivers messages to a webhook, and sees when they are acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, Packet, SUBSCRIBE, ScriptedBroker, acknowledgement, answer_filters, behave,
    connack_resuming,
};
use super::waiting::eventually;

/// The packet type of a PUBACK from a client.
pub const FROM_CLIENT_PUBACK: u8 = PUBACK >> 4;

pub struct WebhookBroker {
    broker: ScriptedBroker,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The connections of webhooks that are subscribed, or have their session back.
    connections: Mutex<Vec<usize>>,
    /// Whether a PUBLISH gets no acknowledgement.
    withholds: AtomicBool,
}

impl WebhookBroker {
    /// It keeps the sessions of webhooks, and no others.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (scripted, mut webhooks, mut known) = (shared.clone(), Vec::new(), Vec::new());
        let broker = ScriptedBroker::start(move |n, packet| {
            Some(match packet.kind {
                CONNECT => {
                    let id = client_id(packet);
                    let is_known = known.contains(&id);
                    if id.contains("-hook-") {
                        webhooks.push(n);
                        if is_known {
                            scripted.connections.lock().unwrap().push(n);
                        } else {
                            known.push(id);
                        }
                    }
                    connack_resuming(is_known, &[])
                }
                SUBSCRIBE => {
                    let mut connections = scripted.connections.lock().unwrap();
                    if webhooks.contains(&n) && !connections.contains(&n) {
                        connections.push(n);
                    }
                    answer_filters(packet, |_| None)
                }
                PUBLISH if scripted.withholds.load(Ordering::SeqCst) => Vec::new(),
                _ => behave(packet, &[]),
            })
        });
        Self { broker, shared }
    }

    pub fn port(&self) -> u16 {
        self.broker.port()
    }

    /// Whether each PUBLISH from now on gets no acknowledgement.
    pub fn withhold(&self, withholds: bool) {
        self.shared.withholds.store(withholds, Ordering::SeqCst);
    }

    /// Waits for the `n`th connection on which a webhook is subscribed, from 0; returns its number.
    pub fn await_webhook(&self, n: usize) -> usize {
        let connections = || self.shared.connections.lock().unwrap().clone();
        eventually("a subscribed webhook", connections, |connections| connections.len() > n)[n]
    }

    /// Delivers a message at QoS 1 on the connection with this number.
    pub fn deliver(&self, connection: usize, identifier: u16, payload: &str) {
        self.broker.send_on(connection, &publish(identifier, payload, false));
    }

    /// The same once more.
    pub fn deliver_again(&self, connection: usize, identifier: u16, payload: &str) {
        self.broker.send_on(connection, &publish(identifier, payload, true));
    }

    /// Sends the acknowledgement of a PUBLISH that was withheld.
    pub fn acknowledge(&self, connection: usize, identifier: [u8; 2]) {
        self.broker.send_on(connection, &acknowledgement(PUBACK, identifier));
    }

    /// Ends a connection.
    pub fn close(&self, connection: usize) {
        self.broker.close_nth(connection);
    }

    /// Waits for the next packet of this type on this connection; returns it and all packets before it.
    pub fn wait_for(&self, connection: usize, kind: u8) -> (Packet, Vec<Packet>) {
        let mut before = Vec::new();
        loop {
            let (packet, others) = self.broker.wait_for(kind);
            before.extend(others);
            if packet.connection == connection {
                return (packet, before);
            }
            before.push(packet);
        }
    }

    /// The identifier in the next PUBACK on this connection.
    pub fn acknowledged(&self, connection: usize) -> u16 {
        u16::from_be_bytes(self.wait_for(connection, FROM_CLIENT_PUBACK).0.identifier())
    }

    /// Waits for the next packet of this type on any connection.
    pub fn wait_for_any(&self, kind: u8) -> (Packet, Vec<Packet>) {
        self.broker.wait_for(kind)
    }

    /// The other packets so far.
    pub fn others(&self) -> Vec<Packet> {
        self.broker.others()
    }
}

/// A PUBLISH of MQTT 5 at QoS 1 to `orders/1`.
fn publish(identifier: u16, payload: &str, is_again: bool) -> Vec<u8> {
    let topic = "orders/1";
    let [high, low] = identifier.to_be_bytes();
    let byte = |length: usize| u8::try_from(length).ok().filter(|length| *length < 128).expect("a short message");
    let rest = [&[0, byte(topic.len())], topic.as_bytes(), &[high, low, 0], payload.as_bytes()].concat();
    [&[if is_again { 0x3a } else { 0x32 }, byte(rest.len())], rest.as_slice()].concat()
}

/// What a CONNECT of either version says.
#[derive(Debug, PartialEq)]
pub struct Connect {
    pub client_id: String,
    pub is_clean: bool,
    pub has_will: bool,
    /// Only in MQTT 5.
    pub session_expiry: Option<u32>,
}

impl Connect {
    pub fn of(packet: &Packet) -> Self {
        let (level, flags) = (packet.body[6], packet.body[7]);
        let mut rest = &packet.body[10..];
        let mut session_expiry = None;
        if level == 5 {
            let length = usize::from(rest[0]);
            assert!(length < 128, "no daemon sends longer properties");
            session_expiry = find_session_expiry(&rest[1..=length]);
            rest = &rest[1 + length..];
        }
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let client_id = String::from_utf8(rest[2..2 + length].to_vec()).unwrap();
        Self { client_id, is_clean: flags & 2 != 0, has_will: flags & 4 != 0, session_expiry }
    }
}

fn client_id(packet: &Packet) -> String {
    Connect::of(packet).client_id
}

fn find_session_expiry(mut properties: &[u8]) -> Option<u32> {
    while let [identifier, rest @ ..] = properties {
        let length = match identifier {
            0x11 => return Some(u32::from_be_bytes(rest[..4].try_into().unwrap())),
            0x27 => 4,
            0x21 | 0x22 => 2,
            0x17 | 0x19 => 1,
            other => panic!("an unexpected property of a CONNECT: {other:#x}"),
        };
        properties = &rest[length..];
    }
    None
}
