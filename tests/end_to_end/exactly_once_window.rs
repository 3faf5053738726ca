//! How many messages at QoS 2 are unacknowledged at a time: a broker drops what is more than it takes, and in MQTT 3.1.1
//! it acknowledges that too.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, PUBCOMP, PUBLISH, PUBREL, Packet, ScriptedBroker, acknowledgement, behave, connack_resuming,
    receive_maximum,
};
use crate::support::waiting::eventually;

/// How many may be unacknowledged at a time: one less than mosquitto takes.
const MOST: usize = 19;
/// How many messages at QoS 2 a test publishes.
const COUNT: usize = 3 * MOST;

/// The messages at QoS 2 that a broker has not completed.
#[derive(Default)]
struct Open {
    now: HashSet<[u8; 2]>,
    most: usize,
    /// Whose PUBREL has come.
    released: Vec<[u8; 2]>,
}

impl Open {
    /// Completes messages only when the bridge may not send another one before that.
    fn answer(&mut self, protocol: &str, session_present: bool, packet: &Packet) -> Vec<u8> {
        match packet.kind {
            CONNECT => {
                let of_mqtt_5 = connack_resuming(session_present, &receive_maximum(20));
                if protocol == "5" { of_mqtt_5 } else { vec![0x20, 2, session_present.into(), 0] }
            }
            PUBREL => {
                self.released.push(packet.identifier());
                if self.released.len() < MOST { Vec::new() } else { self.complete() }
            }
            _ => {
                self.note(packet);
                behave(packet, &[])
            }
        }
    }

    fn note(&mut self, packet: &Packet) {
        if packet.kind == PUBLISH && packet.qos() == 2 {
            self.now.insert(packet.identifier());
            self.most = self.most.max(self.now.len());
        }
    }

    fn complete(&mut self) -> Vec<u8> {
        let completed = std::mem::take(&mut self.released);
        self.now.retain(|identifier| !completed.contains(identifier));
        completed.into_iter().flat_map(|identifier| acknowledgement(PUBCOMP, identifier)).collect()
    }
}

/// Publishes messages with these levels of QoS in one request, with the topics `n/0`, `n/1` …; returns the results.
fn publish(daemon: &Daemon, levels: Vec<u8>) -> Vec<Value> {
    let item = |(n, qos)| json!({ "topic": format!("n/{n}"), "msg": n, "qos": qos });
    let items: Value = levels.into_iter().enumerate().map(item).collect();
    let reply = daemon.connect().post("/publish/bulk?timeout=30", items.to_string().as_bytes());
    reply.json()["results"].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone()
}

/// Whether all were acknowledged.
fn all_acknowledged(results: &[Value]) -> bool {
    results.iter().all(|result| result["code"] == 0 && result["packet_id"].is_number())
}

fn configuration(protocol: &str, port: u16) -> String {
    format!("[mqtt]\nport = {port}\nprotocol = \"{protocol}\"\nclean-session = false\nreconnect-max = 0.2")
}

/// As many at QoS 1 as at QoS 2. In MQTT 5 those at QoS 1 would take the packet identifiers between the others.
fn levels(protocol: &str) -> Vec<u8> {
    if protocol == "5" { [[2; COUNT], [1; COUNT]].concat() } else { [2, 1].repeat(COUNT) }
}

#[test]
fn a_broker_has_no_more_open_messages_at_qos_2_than_it_takes() {
    for protocol in ["5", "3.1.1"] {
        let open = Arc::new(Mutex::new(Open::default()));
        let counted = open.clone();
        let broker =
            ScriptedBroker::start(move |_, packet| Some(counted.lock().unwrap().answer(protocol, false, packet)));
        let daemon = Daemon::connected_with(&configuration(protocol, broker.port()));
        let results = publish(&daemon, levels(protocol));
        assert!(all_acknowledged(&results), "{results:?}");
        assert_eq!(open.lock().unwrap().most, MOST, "{protocol}: the whole window is used, and no more");
        assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
    }
}

#[test]
fn a_resumed_session_has_no_more_open_messages_at_qos_2_either() {
    for protocol in ["5", "3.1.1"] {
        let open = Arc::new(Mutex::new(Open::default()));
        let counted = open.clone();
        let broker = ScriptedBroker::start(move |n, packet| {
            let mut open = counted.lock().unwrap();
            if n == 0 && packet.kind == PUBLISH {
                open.note(packet);
                return Some(Vec::new());
            }
            Some(open.answer(protocol, n > 0, packet))
        });
        let daemon = Daemon::connected_with(&configuration(protocol, broker.port()));
        thread::scope(|scope| {
            let publishing = scope.spawn(|| publish(&daemon, levels(protocol)));
            let sent = if protocol == "5" { MOST } else { 2 * MOST };
            (0..sent).for_each(|_| drop(broker.wait_for(PUBLISH)));
            broker.close();
            let (first, _) = broker.wait_for(PUBLISH);
            assert!(first.is_duplicate() && first.topic() == "n/0", "{first:?}");
            let results = publishing.join().unwrap();
            assert!(all_acknowledged(&results), "{results:?}");
        });
        assert_eq!(open.lock().unwrap().most, MOST, "{protocol}");
        assert_eq!(daemon.lines_with("lost").len(), 1, "{:?}", daemon.lines());
    }
}

#[test]
fn mosquitto_has_what_it_acknowledged_at_each_qos() {
    let broker = Mosquitto::start();
    for protocol in ["5", "3.1.1"] {
        let daemon = Daemon::connected_with(&configuration(protocol, broker.port()));
        let levels = [[2; 30], [1; 30]].concat();
        let mut subscriber = broker.subscribe("n/#", levels.len(), "%p,");
        thread::scope(|scope| {
            // it reads nothing before all that the window allows is sent
            broker.signal("STOP");
            let publishing = scope.spawn(|| publish(&daemon, levels.clone()));
            let unacknowledged = || daemon.get("/status").json()["publishes"]["unacknowledged"].as_u64();
            eventually("the window is used", unacknowledged, |count| *count >= Some(MOST as u64));
            broker.signal("CONT");
            let results = publishing.join().unwrap();
            assert!(all_acknowledged(&results), "{results:?}");
        });
        assert_eq!(broker.log_with("rc151"), Vec::<String>::new(), "{protocol}: quota exceeded");
        subscriber.wait_for_end();
        let mut arrived: Vec<usize> = String::from_utf8(subscriber.stdout())
            .unwrap()
            .trim_end_matches(',')
            .split(',')
            .map(|n| n.parse().unwrap())
            .collect();
        arrived.sort_unstable();
        assert_eq!(arrived, (0..levels.len()).collect::<Vec<_>>(), "{protocol}");
    }
}
