//! What callers were answered, compared with the broker's log.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::http::Connection;

/// The reply to one message.
pub struct Outcome {
    pub id: usize,
    pub qos: u8,
    pub status: u16,
    pub packet_id: Option<u64>,
}

/// What mosquitto's log says about the messages of one client, on topics `t/ID`.
#[derive(Default)]
pub struct BrokerLog {
    /// How often each message was received.
    pub received: HashMap<usize, usize>,
    /// Message and packet identifier of each acknowledgement.
    pub acknowledged: HashSet<(usize, u64)>,
    /// How often each message was delivered to the subscriber `watcher`, without duplicates (DUP flag).
    pub delivered: HashMap<usize, usize>,
    /// The last message with each packet identifier.
    current: HashMap<u64, usize>,
}

impl Outcome {
    /// Publishes a message and waits for the reply.
    pub fn publish(connection: &mut Connection, id: usize, qos: u8, msg: &Value) -> Self {
        let body = json!({ "topic": format!("t/{id}"), "msg": msg, "qos": qos }).to_string();
        let reply = connection.post("/publish", body.as_bytes());
        Self { id, qos, status: reply.status, packet_id: reply.json().get("packet_id").and_then(Value::as_u64) }
    }
}

impl BrokerLog {
    pub fn of(client: &str, lines: impl IntoIterator<Item = String>) -> Self {
        let mut log = Self::default();
        lines.into_iter().for_each(|line| log.take(client, &line));
        log
    }

    /// For example `1: Received PUBLISH from chaos (d0, q1, r0, m7, 't/12', ... (2 bytes))` and
    /// `1: Sending PUBACK to chaos (m7, rc0)`.
    fn take(&mut self, client: &str, line: &str) {
        let Some((_, event)) = line.split_once(": ") else { return };
        if let Some(rest) = event.strip_prefix(&format!("Received PUBLISH from {client} ")) {
            let (id, packet_identifier) = (message_of(rest), number_after(rest, " m"));
            *self.received.entry(id).or_default() += 1;
            self.current.insert(packet_identifier, id);
        } else if event.starts_with("Sending PUBLISH to watcher ") {
            *self.delivered.entry(message_of(event)).or_default() += usize::from(event.contains("(d0,"));
        } else if let Some(rest) =
            ["PUBACK", "PUBCOMP"].iter().find_map(|kind| event.strip_prefix(&format!("Sending {kind} to {client} ")))
        {
            let packet_identifier = number_after(rest, "(m");
            if let Some(id) = self.current.get(&packet_identifier) {
                self.acknowledged.insert((*id, packet_identifier));
            }
        }
    }

    /// Whether the broker received it.
    pub fn has(&self, outcome: &Outcome) -> bool {
        self.received.contains_key(&outcome.id)
    }

    /// Whether the broker acknowledged it with the packet identifier of the reply.
    pub fn acknowledges(&self, outcome: &Outcome) -> bool {
        outcome.packet_id.is_some_and(|packet_id| self.acknowledged.contains(&(outcome.id, packet_id)))
    }
}

fn message_of(event: &str) -> usize {
    event.split("'t/").nth(1).unwrap().split('\'').next().unwrap().parse().unwrap()
}

fn number_after(text: &str, before: &str) -> u64 {
    let rest = text.split(before).nth(1).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}
