//! Publishes at QoS 1 and 2: the reply is the broker's acknowledgement of exactly that message.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    PUBACK, PUBCOMP, PUBLISH, PUBREC, ScriptedBroker, acknowledgement, acknowledgement_with, behave,
};

pub fn body(topic: &str, qos: u8, timeout: f64) -> String {
    json!({ "topic": topic, "msg": topic, "qos": qos, "timeout": timeout }).to_string()
}

#[track_caller]
pub fn assert_acknowledged(reply: &Reply, reason_code: Option<u8>) {
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    assert!(reply.json()["packet_id"].as_u64().is_some_and(|id| id > 0), "{reply:?}");
    assert_eq!(reply.json()["reason_code"].as_u64(), reason_code.map(u64::from), "{reply:?}");
}

#[test]
fn messages_at_each_qos_are_acknowledged_and_delivered_in_both_versions() {
    let broker = Mosquitto::start();
    for (protocol, reason_code) in [("5", Some(0)), ("3.1.1", None)] {
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"", broker.port()));
        let mut subscriber = broker.subscribe("a/+", 3, "%t %q %p;");
        daemon.publish(r#"{"topic": "a/0", "msg": "x", "qos": 0}"#).assert_published();
        assert_acknowledged(&daemon.publish(r#"{"topic": "a/1", "msg": "y", "qos": 1}"#), reason_code);
        assert_acknowledged(&daemon.publish(r#"{"topic": "a/2", "msg": "z", "qos": 2}"#), reason_code);
        assert!(subscriber.wait_for_end().success());
        assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), "a/0 0 x;a/1 1 y;a/2 2 z;");
    }
}

#[test]
fn the_broker_keeps_a_retained_message_at_qos_1_in_both_versions() {
    let broker = Mosquitto::start();
    for protocol in ["5", "3.1.1"] {
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"", broker.port()));
        let reply = daemon.publish(&json!({"topic": "kept", "msg": protocol, "qos": 1, "retain": true}).to_string());
        assert_eq!(reply.status, 200);
        let mut later = broker.subscribe("kept", 1, "%p %r");
        later.wait_for_end();
        assert_eq!(String::from_utf8(later.stdout()).unwrap(), format!("{protocol} 1"));
    }
}

#[test]
fn no_matching_subscribers_is_reason_code_16() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    assert_acknowledged(&daemon.publish(r#"{"topic": "lonely", "msg": "x", "qos": 1}"#), Some(16));
    // mosquitto looks for subscribers only at the PUBREL, and its PUBCOMP has no such code
    assert_acknowledged(&daemon.publish(r#"{"topic": "lonely", "msg": "x", "qos": 2}"#), Some(0));
}

#[test]
fn a_publish_denied_by_access_control_is_403_and_others_succeed() {
    let folder = crate::support::folder::Folder::new();
    let acl = folder.write("acl", "topic readwrite allowed/#\n");
    let configuration = format!("allow_anonymous true\nacl_file {}", acl.display());
    let broker = Mosquitto::on_port(free_port(), &configuration);
    let daemon = Daemon::connected(broker.port());
    // more than mosquitto's Receive Maximum of 20: rumqttc loses one unit of its quota for each refusal at QoS 2
    for round in 0..25 {
        for qos in [1, 2] {
            let reply = daemon.publish(&body("denied", qos, 5.0));
            reply.assert_refused(403, 12, "refused by the broker: not authorized (reason code 135)");
            assert_eq!(reply.json()["reason_code"], 135, "round {round}");
        }
        let reply = daemon.publish(&body("allowed/x", 2, 5.0));
        assert_eq!(reply.status, 200, "round {round}: {reply:?}");
    }
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn the_caller_gets_the_reason_code_of_each_refusal() {
    let codes = [
        (128, "unspecified error"),
        (131, "implementation specific error"),
        (144, "topic name invalid"),
        (145, "packet identifier in use"),
        (151, "quota exceeded"),
        (153, "payload format invalid"),
    ];
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            // the topic is the reason code
            PUBLISH => acknowledgement_with(
                if packet.qos() == 1 { PUBACK } else { PUBREC },
                packet.identifier(),
                packet.topic().parse().unwrap(),
            ),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    for (code, words) in codes {
        for qos in [1, 2] {
            let reply = daemon.publish(&body(&code.to_string(), qos, 5.0));
            reply.assert_refused(502, 13, &format!("refused by the broker: {words} (reason code {code})"));
            assert_eq!(reply.json()["reason_code"], code);
        }
    }
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn acknowledgements_out_of_order_reach_the_right_callers() {
    let broker = ScriptedBroker::withholding(&[]);
    let daemon = Daemon::connected(broker.port());
    let mut waiting = Vec::new();
    for topic in ["a", "b", "c"] {
        let connection = daemon.begin("/publish", body(topic, 1, 20.0));
        waiting.push((connection, broker.wait_for(PUBLISH).0));
    }
    for position in [1, 2, 0] {
        let (connection, packet) = &mut waiting[position];
        // each has its own reason code, which identifies the caller
        let code = [0, 16, 151][position];
        broker.send(&acknowledgement_with(PUBACK, packet.identifier(), code));
        let reply = connection.reply();
        assert_eq!(reply.json()["reason_code"], code, "{reply:?}");
        if code < 128 {
            assert_eq!(reply.json()["packet_id"], u16::from_be_bytes(packet.identifier()));
        }
    }
}

/// A broker that answers the first PUBLISH with these bytes, made from its packet identifier, and otherwise behaves
/// well.
fn misbehaving(answer: fn([u8; 2]) -> Vec<u8>) -> ScriptedBroker {
    let mut first = true;
    ScriptedBroker::start(move |_, packet| {
        if packet.kind == PUBLISH && std::mem::take(&mut first) {
            return Some(answer(packet.identifier()));
        }
        Some(behave(packet, &[]))
    })
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_completes_no_publish() {
    for (qos, answer) in [
        (1, (|id| acknowledgement(PUBREC, id)) as fn([u8; 2]) -> Vec<u8>),
        (1, |id| acknowledgement(PUBCOMP, id)),
        (2, |id| acknowledgement(PUBACK, id)),
        (2, |id| acknowledgement(PUBCOMP, id)),
        (1, |[high, low]| acknowledgement(PUBACK, [high, low + 1])),
        (2, |[high, low]| acknowledgement(PUBREC, [high, low + 1])),
    ] {
        let broker = misbehaving(answer);
        let daemon = Daemon::connected(broker.port());
        let reply = daemon.publish(&body("t", qos, 20.0));
        assert_eq!(reply.status, 200, "resent on the next connection: {reply:?}");
        assert_eq!(daemon.lines_with("lost").len(), 1);
        assert_eq!(broker.wait_for(PUBLISH).0.connection, 0);
        assert_eq!(broker.wait_for(PUBLISH).0.connection, 1);
    }
}

#[test]
fn a_duplicate_acknowledgement_ends_the_connection_and_completes_no_other_publish() {
    for (qos, answer) in [
        (1, (|id| acknowledgement(PUBACK, id).repeat(2)) as fn([u8; 2]) -> Vec<u8>),
        (2, |id| acknowledgement(PUBREC, id).repeat(2)),
    ] {
        let broker = misbehaving(answer);
        let daemon = Daemon::connected(broker.port());
        assert_eq!(daemon.publish(&body("t", qos, 20.0)).status, 200);
        daemon.wait_for("lost");
        daemon.wait_for_nth(2, "connected to");
        assert_eq!(daemon.publish(&body("t", qos, 20.0)).status, 200);
    }
}

/// Publishes this many messages at once, and returns the replies in order.
pub fn publish_all(daemon: &Daemon, count: usize, qos: u8, timeout: f64) -> Vec<Reply> {
    let mut connections: Vec<Connection> =
        (0..count).map(|n| daemon.begin("/publish", body(&format!("n/{n}"), qos, timeout))).collect();
    connections.iter_mut().map(Connection::reply).collect()
}

pub fn topic_of(line: &str) -> String {
    line.split('\'').nth(1).unwrap().to_owned()
}

#[test]
fn properties_arrive_with_the_message() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("p", 1, "%C|%D|%F|%R|%P");
    let message = json!({"topic": "p", "msg": "x", "qos": 1, "properties": {
        "content_type": "text/plain", "correlation_data": "abc", "payload_format_indicator": 1,
        "message_expiry_interval": 100, "response_topic": "r", "user_properties": [["k", "1"], ["j", "2"], ["k", "3"]]}});
    assert_eq!(daemon.publish(&message.to_string()).status, 200);
    subscriber.wait_for_end();
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), "text/plain|abc|1|r|k:1 j:2 k:3");
    broker.wait_for("Received PUBLISH");
}

#[test]
fn properties_are_refused_in_mqtt_3_1_1() {
    let broker = Mosquitto::start();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"", broker.port()));
    let message = json!({"topic": "p", "msg": "x", "properties": {"content_type": "text/plain"}});
    daemon.publish(&message.to_string()).assert_refused(
        501,
        10,
        "not sent: `properties` need MQTT 5, and `protocol` is \"3.1.1\"",
    );
    daemon.publish(r#"{"topic": "p", "msg": "x", "properties": {}}"#).assert_published();
}

#[test]
fn a_qos_over_the_brokers_maximum_is_refused_without_losing_the_connection() {
    let broker = Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_qos 1");
    let daemon = Daemon::connected(broker.port());
    assert_eq!(daemon.publish(&body("t", 1, 5.0)).status, 200);
    daemon.publish(&body("t", 2, 5.0)).assert_refused(501, 10, "not sent: this broker supports `qos` 1 at most");
    assert_eq!(daemon.publish(&body("t", 1, 5.0)).status, 200);
    assert_eq!(daemon.lines_with("lost").len(), 0);
}
