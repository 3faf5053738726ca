//! What a broker sends that rumqttc does not decode ends the connection, and harms no more than the one that it concerns.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, PUBREC, Packet, ScriptedBroker, acknowledgement_with, behave, connack_resuming,
};

/// The broker's own limit, in bytes of payload, of which it does not tell.
const LIMIT: usize = 100;

fn body(topic: &str, bytes: usize, qos: u8) -> String {
    json!({ "topic": topic, "msg": "x".repeat(bytes), "qos": qos, "timeout": 30 }).to_string()
}

fn daemon(port: u16, more: &str) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {port}\n{more}"))
}

#[track_caller]
fn assert_too_large(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (413, 9), "{reply:?}");
    assert_eq!(reply.json()["reason_code"], 149, "{reply:?}");
}

/// Has eight clients publish small messages for as long as `work` takes. Returns how many were acknowledged.
fn beside_eight_others<T>(daemon: &Daemon, work: impl FnOnce() -> T) -> (T, usize) {
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let publish = |client: usize| {
        let mut connection = daemon.served_connection();
        while !is_over.load(Ordering::Relaxed) {
            let reply = connection.post("/publish", body(&format!("others/{client}"), 10, 1).as_bytes());
            assert_eq!(reply.status, 200, "{reply:?}");
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (0..8).map(|client| scope.spawn(move || publish(client))).collect();
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        for other in others {
            other.join().unwrap();
        }
        (done, count.load(Ordering::Relaxed))
    })
}

#[test]
fn a_thousand_that_the_broker_refuses_by_their_size_cost_two_connections_at_most() {
    for session in ["", "clean-session = false"] {
        let limit = format!("allow_anonymous true\nmessage_size_limit {LIMIT}");
        let broker = Mosquitto::on_port(free_port(), &limit);
        let daemon = daemon(broker.port(), session);
        let (refused, others) = beside_eight_others(&daemon, || {
            let mut connection = daemon.served_connection();
            let sizes = (0..1000).map(|n| (2 * LIMIT + n, n));
            let publish = |(bytes, n): (usize, usize)| {
                let qos = if n % 2 == 0 { 1 } else { 2 };
                connection.post("/publish", body("large", bytes, qos).as_bytes())
            };
            sizes.map(publish).collect::<Vec<_>>()
        });
        refused.iter().for_each(assert_too_large);
        assert!(others > 0);
        assert!(daemon.lines_with("connection to ").len() <= 2, "{:?}", daemon.lines());
        daemon.wait_for("the broker refuses an MQTT packet of");
        // what it takes is not refused
        assert_eq!(daemon.publish(&body("small", LIMIT, 2)).status, 200);
        assert_too_large(&daemon.publish(&body("large", 3 * LIMIT, 0)));
    }
}

#[test]
fn many_at_once_that_the_broker_refuses_by_their_size_are_all_told_so() {
    let limit = format!("allow_anonymous true\nmessage_size_limit {LIMIT}");
    let broker = Mosquitto::on_port(free_port(), &limit);
    let daemon = daemon(broker.port(), "");
    let mut connections: Vec<Connection> = (0..40).map(|_| daemon.served_connection()).collect();
    for (n, connection) in connections.iter_mut().enumerate() {
        let body = body("large", 2 * LIMIT, if n % 2 == 0 { 1 } else { 2 });
        let head = format!("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.send(format!("{head}{body}").as_bytes());
    }
    for connection in &mut connections {
        assert_too_large(&connection.reply());
    }
    assert!(daemon.lines_with("connection to ").len() <= 2, "{:?}", daemon.lines());
}

/// A broker that refuses what is published to `guilty`, with this reason code.
fn refusing(code: u8) -> ScriptedBroker {
    ScriptedBroker::start(move |n, packet| {
        Some(match packet.kind {
            // a session that is not to be clean was kept
            CONNECT => connack_resuming(n > 0 && packet.body[7] & 2 == 0, &[]),
            PUBLISH if packet.topic() == "guilty" && packet.qos() > 0 => {
                acknowledgement_with(if packet.qos() == 1 { PUBACK } else { PUBREC }, packet.identifier(), code)
            }
            _ => behave(packet, &[]),
        })
    })
}

#[test]
fn whoever_is_refused_with_a_code_that_rumqttc_does_not_list_is_told_it_and_no_one_else() {
    for (code, session) in [(130, ""), (130, "clean-session = false"), (154, ""), (200, "clean-session = false")] {
        let broker = refusing(code);
        let daemon = daemon(broker.port(), session);
        for qos in [1, 2] {
            let (reply, _) = beside_eight_others(&daemon, || daemon.publish(&body("guilty", 1, qos)));
            assert_eq!((reply.status, reply.code()), (502, 13), "{reply:?}");
            assert_eq!(reply.json()["reason_code"], code, "{reply:?}");
        }
        let packets = broker.others();
        let of_guilty = |packet: &&Packet| packet.kind == PUBLISH && packet.topic() == "guilty";
        assert!(packets.iter().filter(of_guilty).count() <= 4, "twice each at most");
        assert!(daemon.lines_with("lost").len() <= 4, "{:?}", daemon.lines());
    }
}

#[test]
fn one_alone_that_is_refused_with_such_a_code_costs_one_connection() {
    let broker = refusing(130);
    let daemon = daemon(broker.port(), "");
    let reply = daemon.publish(&body("guilty", 1, 1));
    assert_eq!(reply.json()["reason_code"], 130, "{reply:?}");
    assert_eq!(daemon.publish(&body("after", 1, 1)).status, 200);
    daemon.wait_for("lost: the broker refused a publish: protocol error (reason code 130)");
    assert_eq!(daemon.lines_with("lost").len(), 1, "{:?}", daemon.lines());
}
