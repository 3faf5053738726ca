//! A message at QoS 2 is one message until its PUBREL, however often it is sent (MQTT 5, 4.3.3).

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::scripted_broker::{
    CONNECT, FROM_CLIENT_PUBCOMP, FROM_CLIENT_PUBREC, PUBCOMP, PUBLISH, PUBREL, Packet, SUBSCRIBE, ScriptedBroker,
    acknowledgement, acknowledgement_with, behave, connack_resuming, suback,
};

const PUBREL_SENT: u8 = 0x62;
const PROTOCOLS: [&str; 2] = ["5", "3.1.1"];

/// A PUBLISH at QoS 2 in this version.
fn at_qos_2(protocol: &str, is_duplicate: bool, identifier: u8, topic: &str, payload: &str) -> Vec<u8> {
    let properties: &[u8] = if protocol == "5" { &[0] } else { &[] };
    let rest = [&[0, u8::try_from(topic.len()).unwrap()], topic.as_bytes(), &[0, identifier], properties];
    let rest = [rest.concat(), payload.as_bytes().to_vec()].concat();
    let flags = if is_duplicate { 0x0c } else { 0x04 };
    [vec![0x30 | flags, u8::try_from(rest.len()).unwrap()], rest].concat()
}

/// The answer of a conforming broker in this version.
fn answer(protocol: &str, packet: &Packet) -> Vec<u8> {
    match (protocol, packet.kind) {
        ("5", SUBSCRIBE) => suback(packet, &[2]),
        ("5", _) => behave(packet, &[]),
        (_, CONNECT) => vec![0x20, 2, 0, 0],
        (_, SUBSCRIBE) => vec![0x90, 3, packet.body[0], packet.body[1], 2],
        _ => behave(packet, &[]),
    }
}

fn configuration(broker: &ScriptedBroker, protocol: &str) -> String {
    format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n[[subscribe]]\ntopic = \"#\"\nqos = 2", broker.port())
}

#[track_caller]
fn await_answers(broker: &ScriptedBroker, kind: u8, identifiers: &[u8]) {
    for identifier in identifiers {
        assert_eq!(broker.wait_for(kind).0.identifier(), [0, *identifier]);
    }
}

#[test]
fn a_publish_repeated_before_its_pubrel_is_recorded_and_delivered_once() {
    for protocol in PROTOCOLS {
        let broker = ScriptedBroker::start(move |_, packet| Some(answer(protocol, packet)));
        let daemon = Daemon::connected_with(&configuration(&broker, protocol));
        daemon.wait_for("subscribed to #");
        let mut listener = Listener::open(&daemon, "a/+");
        let message = |is_duplicate, payload| at_qos_2(protocol, is_duplicate, 7, "a/b", payload);
        broker.send(&message(false, "once"));
        await_answers(&broker, FROM_CLIENT_PUBREC, &[7]);
        // after the first was recorded, two at once, and after another message
        broker.send(&[message(true, "once"), message(false, "once")].concat());
        await_answers(&broker, FROM_CLIENT_PUBREC, &[7, 7]);
        broker.send(&at_qos_2(protocol, false, 8, "a/b", "other"));
        broker.send(&message(true, "once"));
        await_answers(&broker, FROM_CLIENT_PUBREC, &[8, 7]);
        // a PUBREL is repeated when its PUBCOMP is lost
        for _ in 0..2 {
            broker.send(&acknowledgement(PUBREL_SENT, [0, 7]));
            await_answers(&broker, FROM_CLIENT_PUBCOMP, &[7]);
        }
        broker.send(&message(false, "anew"));
        await_answers(&broker, FROM_CLIENT_PUBREC, &[7]);
        let read: Vec<_> = (0..3).map(|_| listener.event().data["payload"].clone()).collect();
        assert_eq!(read, ["once", "other", "anew"]);
        let recorded = daemon.lines_with("with payload: ");
        assert_eq!(recorded.len(), 3, "{recorded:?}");
        assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
    }
}

#[test]
fn a_publish_repeated_at_once_is_recorded_once() {
    for protocol in PROTOCOLS {
        let broker = ScriptedBroker::start(move |_, packet| Some(answer(protocol, packet)));
        let daemon = Daemon::connected_with(&configuration(&broker, protocol));
        daemon.wait_for("subscribed to #");
        let message = |is_duplicate| at_qos_2(protocol, is_duplicate, 1, "t", "x");
        broker.send(&[message(false), message(true), message(true)].concat());
        await_answers(&broker, FROM_CLIENT_PUBREC, &[1, 1, 1]);
        broker.send(&at_qos_2(protocol, false, 2, "t", "end"));
        await_answers(&broker, FROM_CLIENT_PUBREC, &[2]);
        assert_eq!(daemon.lines_with("with payload: x").len(), 1, "{:?}", daemon.lines());
    }
}

#[test]
fn a_repeated_answer_is_not_the_answer_to_the_next_request() {
    let broker = ScriptedBroker::start(|_, packet| {
        let question = Some(packet).filter(|packet| packet.kind == PUBLISH).map(Packet::topic);
        Some(match question {
            Some("1") => at_qos_2("3.1.1", false, 5, "answers", "first"),
            Some(_) => {
                [at_qos_2("3.1.1", true, 5, "answers", "first"), at_qos_2("3.1.1", false, 6, "answers", "second")]
                    .concat()
            }
            None => answer("3.1.1", packet),
        })
    });
    let daemon = Daemon::connected_with(&configuration(&broker, "3.1.1"));
    for (question, expected) in [("1", "first"), ("2", "second")] {
        let body = json!({"topic": question, "msg": "?", "response_topic": "answers", "timeout": 20}).to_string();
        let reply = daemon.connect().post("/request", body.as_bytes());
        assert_eq!((reply.status, &reply.json()["payload"]), (200, &json!(expected)), "{reply:?}");
    }
}

#[test]
fn a_resumed_session_continues_its_qos_2_exchanges() {
    // the first connection ends at the first PUBREC, so that the broker never receives it
    let broker = ScriptedBroker::start(|n, packet| {
        Some(match packet.kind {
            CONNECT => connack_resuming(n > 0, &[]),
            FROM_CLIENT_PUBREC if n == 0 => return None,
            SUBSCRIBE => suback(packet, &[1]),
            PUBREL => acknowledgement_with(PUBCOMP, packet.identifier(), 146),
            _ => behave(packet, &[]),
        })
    });
    let config = format!(
        "[mqtt]\nport = {}\nclean-session = false\nclient-id = \"k\"\n[[subscribe]]\ntopic = \"#\"\nqos = 1",
        broker.port()
    );
    let daemon = Daemon::connected_with(&config);
    daemon.wait_for("subscribed to #");
    broker.send(&at_qos_2("5", false, 7, "t", "once"));
    await_answers(&broker, FROM_CLIENT_PUBREC, &[7]);
    daemon.wait_for_nth(2, "connected to");
    broker.wait_for(SUBSCRIBE);
    broker.send(&at_qos_2("5", true, 7, "t", "once"));
    await_answers(&broker, FROM_CLIENT_PUBREC, &[7]);
    // the broker also completes a message of an earlier run, of which only the PUBREL is left
    for identifier in [7, 9] {
        broker.send(&acknowledgement(PUBREL_SENT, [0, identifier]));
        await_answers(&broker, FROM_CLIENT_PUBCOMP, &[identifier]);
    }
    broker.send(&at_qos_2("5", false, 7, "t", "anew"));
    await_answers(&broker, FROM_CLIENT_PUBREC, &[7]);
    let recorded = daemon.lines_with("with payload: ");
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    assert_eq!(daemon.lines_with("lost").len(), 1, "{:?}", daemon.lines());
}
