//! Packets that the broker refuses for their size, or with a reason code that rumqttc does not know.

use crate::protocol_errors::{beside_eight_others, body, daemon};
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::post;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, PUBREC, Packet, ScriptedBroker, acknowledgement_with, behave, connack_resuming,
};

/// The broker's limit in bytes of payload, which it does not announce.
const LIMIT: usize = 100;

#[track_caller]
fn assert_too_large(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (413, 9), "{reply:?}");
    assert_eq!(reply.json()["reason_code"], 149, "{reply:?}");
}

#[test]
fn a_thousand_too_large_messages_cost_two_connections_at_most() {
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
        // a message within the limit is accepted
        assert_eq!(daemon.publish(&body("small", LIMIT, 2)).status, 200);
        assert_too_large(&daemon.publish(&body("large", 3 * LIMIT, 0)));
    }
}

#[test]
fn concurrent_too_large_messages_are_all_answered_413() {
    let limit = format!("allow_anonymous true\nmessage_size_limit {LIMIT}");
    let broker = Mosquitto::on_port(free_port(), &limit);
    let daemon = daemon(broker.port(), "");
    let mut connections: Vec<Connection> = (0..40).map(|_| daemon.served_connection()).collect();
    for (n, connection) in connections.iter_mut().enumerate() {
        connection.send(&post("/publish", body("large", 2 * LIMIT, if n % 2 == 0 { 1 } else { 2 })));
    }
    for connection in &mut connections {
        assert_too_large(&connection.reply());
    }
    assert!(daemon.lines_with("connection to ").len() <= 2, "{:?}", daemon.lines());
}

/// A broker that refuses messages on `guilty` with this reason code.
fn refusing(code: u8) -> ScriptedBroker {
    ScriptedBroker::start(move |n, packet| {
        Some(match packet.kind {
            // a session is kept unless Clean Start is set
            CONNECT => connack_resuming(n > 0 && packet.body[7] & 2 == 0, &[]),
            PUBLISH if packet.topic() == "guilty" && packet.qos() > 0 => {
                acknowledgement_with(if packet.qos() == 1 { PUBACK } else { PUBREC }, packet.identifier(), code)
            }
            _ => behave(packet, &[]),
        })
    })
}

#[test]
fn a_refusal_with_an_unknown_code_reaches_its_caller_only() {
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
        assert!(packets.iter().filter(of_guilty).count() <= 4, "sent twice each at most");
        assert!(daemon.lines_with("lost").len() <= 4, "{:?}", daemon.lines());
    }
}

#[test]
fn a_single_refusal_with_an_unknown_code_costs_one_connection() {
    let broker = refusing(130);
    let daemon = daemon(broker.port(), "");
    let reply = daemon.publish(&body("guilty", 1, 1));
    assert_eq!(reply.json()["reason_code"], 130, "{reply:?}");
    assert_eq!(daemon.publish(&body("after", 1, 1)).status, 200);
    daemon.wait_for("lost: the broker refused a publish: protocol error (reason code 130)");
    assert_eq!(daemon.lines_with("lost").len(), 1, "{:?}", daemon.lines());
}
