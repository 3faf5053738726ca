//! What the broker decides about the connection: the ping interval and the assigned client identifier.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{CONNECT, PINGREQ, ScriptedBroker, behave};
use crate::support::waiting::eventually;
use crate::support::{PATIENCE, SLACK, free_port};

/// The property Server Keep Alive (MQTT 5, 3.2.2.3.14).
const fn server_keep_alive(seconds: u8) -> [u8; 3] {
    [0x13, 0, seconds]
}

/// The connection in `/status`, once there is one.
fn connection(daemon: &Daemon) -> Value {
    daemon.wait_for("connected to");
    let look = || daemon.get("/status").json()["connection"].clone();
    eventually("a connection", look, |connection| connection["state"] == "connected")
}

#[test]
fn the_server_keep_alive_sets_the_ping_interval() {
    let (sender, pings) = channel();
    let broker = ScriptedBroker::start(move |_, packet| {
        if packet.kind == PINGREQ {
            sender.send(Instant::now()).unwrap();
        }
        Some(behave(packet, &server_keep_alive(1)))
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}", broker.port()));
    assert_eq!(connection(&daemon)["keepalive_seconds"], 1);
    let times = [(); 4].map(|()| pings.recv_timeout(PATIENCE).expect("a PINGREQ"));
    // three pings per second, instead of one in 60 s
    let took = times[3] - times[0];
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(3) + SLACK, "{took:?}");
}

#[test]
fn each_connection_asks_for_the_configured_keep_alive() {
    let broker = ScriptedBroker::start(|n, packet| match (n, packet.kind) {
        (0, PINGREQ) => None,
        _ => Some(behave(packet, if n == 0 { &[0x13, 0, 1] } else { &[] })),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nkeepalive = 70", broker.port()));
    for _ in 0..2 {
        assert_eq!(broker.wait_for(CONNECT).0.body[8..10], [0, 70]);
    }
    daemon.wait_for_nth(2, "connected to");
    assert_eq!(connection(&daemon)["keepalive_seconds"], 70);
}

#[test]
fn a_silent_broker_is_noticed_with_any_server_keep_alive() {
    for seconds in [0, 1, 3] {
        let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
            CONNECT => Some(behave(packet, &server_keep_alive(seconds))),
            _ => Some(Vec::new()),
        });
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nkeepalive = 5", broker.port()));
        // a server keep alive of 0 does not disable pings
        assert_eq!(connection(&daemon)["keepalive_seconds"], if seconds == 0 { 5 } else { seconds });
        let start = Instant::now();
        daemon.wait_for("lost: no answer to a PINGREQ within the keep alive time");
        assert!(start.elapsed() < Duration::from_secs(10) + SLACK, "{seconds}: {:?}", start.elapsed());
        assert!(broker.others().iter().filter(|packet| packet.kind == PINGREQ).count() <= 3);
    }
}

#[test]
fn the_max_keepalive_of_mosquitto_is_used() {
    let broker = Mosquitto::on_port(free_port(), "max_keepalive 10\nallow_anonymous true");
    let daemon = Daemon::connected(broker.port());
    assert_eq!(connection(&daemon)["keepalive_seconds"], 10);
}

#[test]
fn an_assigned_client_identifier_is_logged() {
    let broker = Mosquitto::start();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nclient-id = \"\"", broker.port()));
    let line = daemon.wait_for("connected to");
    let name = line.split(", which calls us ").nth(1).expect("a name");
    assert!(name.starts_with("auto-"), "{line}");
    assert_eq!(connection(&daemon)["client_id"], name);
    broker.wait_for(&format!("as {name} "));
    let request = br#"{"topic":"nobody","msg":"x","timeout":1}"#;
    assert_eq!(daemon.connect().post("/request", request).status, 404, "a response topic was found");
}

#[test]
fn in_mqtt_3_1_1_the_assigned_client_identifier_is_unknown() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"\nclient-id = \"\"", broker.port());
    let daemon = Daemon::connected_with(&config);
    broker.wait_for("as auto-");
    assert_eq!(connection(&daemon)["client_id"], "");
}
