//! Packets that rumqttc cannot decode end the connection, with no effect beyond the filter or message concerned.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::scripted_broker::{CONNECT, Packet, SUBSCRIBE, ScriptedBroker, behave, connack_resuming, suback};
use crate::support::waiting::eventually;

pub fn body(topic: &str, bytes: usize, qos: u8) -> String {
    json!({ "topic": topic, "msg": "x".repeat(bytes), "qos": qos, "timeout": 30 }).to_string()
}

pub fn daemon(port: u16, more: &str) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {port}\n{more}"))
}

/// Runs `work` while eight clients publish small messages. Returns how many of those were acknowledged.
pub fn beside_eight_others<T>(daemon: &Daemon, work: impl FnOnce() -> T) -> (T, usize) {
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

/// A broker that sends `kept` after each SUBACK for `dev/#`, and a valid message for `ok`.
fn keeping(protocol: &'static str, kept: Vec<u8>) -> ScriptedBroker {
    ScriptedBroker::start(move |_, packet| {
        Some(match (protocol, packet.kind) {
            ("3.1.1", CONNECT) => vec![0x20, 2, 0, 0],
            (_, SUBSCRIBE) => {
                let filters = filters(protocol, packet);
                let mut answer = suback_of(protocol, packet, &vec![0; filters.len()]);
                if filters.iter().any(|filter| filter == "ok") {
                    answer.extend(good(protocol));
                }
                if filters.iter().any(|filter| filter == "dev/#") {
                    answer.extend(&kept);
                }
                answer
            }
            _ => behave(packet, &[]),
        })
    })
}

fn good(protocol: &str) -> Vec<u8> {
    let properties: &[u8] = if protocol == "5" { &[0] } else { &[] };
    let rest = [&[0, 2][..], b"ok", properties, b"fine"].concat();
    [&[0x30, u8::try_from(rest.len()).unwrap()], rest.as_slice()].concat()
}

/// A retained PUBLISH at QoS 0.
fn retained(topic: &[u8], properties: Option<&[u8]>) -> Vec<u8> {
    let byte = |length: usize| u8::try_from(length).unwrap();
    let properties = properties.map(|properties| [&[byte(properties.len())], properties].concat()).unwrap_or_default();
    let rest = [&[0, byte(topic.len())], topic, &properties, b"x"].concat();
    [&[0x31, byte(rest.len())], rest.as_slice()].concat()
}

fn filters(protocol: &str, subscribe: &Packet) -> Vec<String> {
    if protocol == "5" {
        return subscribe.filters();
    }
    let mut rest = &subscribe.body[2..];
    let mut filters = Vec::new();
    while let [high, low, after @ ..] = rest {
        let (filter, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        filters.push(String::from_utf8(filter.to_vec()).unwrap());
        rest = &after[1..];
    }
    filters
}

fn suback_of(protocol: &str, subscribe: &Packet, codes: &[u8]) -> Vec<u8> {
    let mut answer = suback(subscribe, codes);
    if protocol == "3.1.1" {
        // MQTT 3.1.1 has no properties
        answer.remove(4);
        answer[1] -= 1;
    }
    answer
}

const FILTERS: &str =
    "[[subscribe]]\ntopic = \"ok\"\n[[subscribe]]\ntopic = \"dev/#\"\n[[subscribe]]\ntopic = \"also\"";

/// Waits until these configured subscriptions are granted.
#[track_caller]
fn await_granted(daemon: &Daemon, positions: &[usize]) {
    eventually(
        "granted subscriptions",
        || daemon.get("/status").json(),
        |status| positions.iter().all(|position| status["subscriptions"][position]["granted_qos"] == 0),
    );
}

#[test]
fn an_undecodable_retained_message_leaves_out_only_its_filter() {
    let kept = [
        ("3.1.1", retained(b"dev/\xe9tat", None)),
        ("5", retained(b"dev/a", Some(b"\x26\x00\x01k\x00\x01\xff"))),
        ("5", retained(b"dev/a", Some(b"\x03\x00\x01\xff"))),
        ("5", retained(b"dev/a", Some(b"\x7f"))),
        // QoS 3, which is invalid
        ("3.1.1", vec![0x36, 7, 0, 3, b'd', b'e', b'v', 0, 1]),
    ];
    for (protocol, kept) in kept {
        let broker = keeping(protocol, kept);
        let configuration = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n{FILTERS}", broker.port());
        let daemon = Daemon::with(&configuration);
        // from the beginning
        let reply = daemon.publish(&body("t", 1, 1));
        assert_eq!(reply.status, 200, "{reply:?}");
        let line = daemon.wait_for("left out");
        assert!(line.contains("error: subscription to dev/# left out for 5 minutes"), "{line}");
        assert!(line.contains("the broker sent a packet that cannot be decoded"), "{line}");
        let settled = daemon.lines_with("lost").len();
        assert!(settled <= 4, "{:?}", daemon.lines());
        await_granted(&daemon, &[0, 2]);
        let status = daemon.get("/status").json();
        assert_eq!(status["subscriptions"][1]["left_out"], true, "{status}");
        let ready = daemon.get("/readyz");
        assert_eq!(ready.status, 503);
        assert!(ready.error().contains("subscription to dev/# left out for a while"), "{ready:?}");
        let metrics = String::from_utf8(daemon.get("/metrics").body).unwrap();
        assert!(metrics.contains("\nmqtt_bridge_subscriptions_left_out 1\n"), "{metrics}");
        assert!(daemon.lines_with("payload: fine").len() > 1, "others are received");
        for qos in [0, 1, 2] {
            assert_eq!(daemon.publish(&body("t", 1, qos)).status, 200);
        }
        assert_eq!(daemon.lines_with("lost").len(), settled, "{:?}", daemon.lines());
    }
}

#[test]
fn a_filter_is_left_out_when_the_broker_closes_over_its_subscribe() {
    for protocol in ["3.1.1", "5"] {
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match (protocol, packet.kind) {
                ("3.1.1", CONNECT) => vec![0x20, 2, 0, 0],
                (_, SUBSCRIBE) => {
                    let filters = filters(protocol, packet);
                    if filters.iter().any(|filter| filter == "dev/#") {
                        return None;
                    }
                    suback_of(protocol, packet, &vec![0; filters.len()])
                }
                _ => behave(packet, &[]),
            })
        });
        let configuration = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n{FILTERS}", broker.port());
        let daemon = Daemon::with(&configuration);
        assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
        let line = daemon.wait_for("subscription to dev/# left out for 5 minutes");
        assert!(line.ends_with("correct the topic filter, or what the broker allows"), "{line}");
        await_granted(&daemon, &[0, 2]);
        assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
        assert!(daemon.lines_with("lost").len() <= 4, "{:?}", daemon.lines());
    }
}

#[test]
fn a_session_with_an_undecodable_message_is_discarded() {
    // at QoS 1 and never acknowledged: each resumed connection delivers it again
    let queued = [&[0x32, 14, 0, 5][..], b"dev/a", &[0, 7, 4, 0x03, 0, 1, 0xff]].concat();
    let broker = ScriptedBroker::start(move |n, packet| {
        Some(match packet.kind {
            CONNECT if n > 0 && packet.body[7] & 2 == 0 => [connack_resuming(true, &[]), queued.clone()].concat(),
            SUBSCRIBE if n == 0 => [suback(packet, &[0]), queued.clone()].concat(),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::with(&format!(
        "[mqtt]\nport = {}\nclean-session = false\n[[subscribe]]\ntopic = \"dev/#\"",
        broker.port()
    ));
    daemon.wait_for("the session that the broker keeps is left");
    await_granted(&daemon, &[0]);
    assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
    assert!(daemon.lines_with("lost").len() <= 4, "{:?}", daemon.lines());
    assert_eq!(daemon.lines_with("left out").len(), 0, "{:?}", daemon.lines());
}

#[test]
fn an_unknown_suback_code_is_a_refusal_of_its_filter() {
    for (protocol, code) in [("3.1.1", 0x87), ("5", 0x95), ("5", 0x82), ("5", 0xff)] {
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match (protocol, packet.kind) {
                ("3.1.1", CONNECT) => vec![0x20, 2, 0, 0],
                (_, SUBSCRIBE) => {
                    let is_refused = |filter: &String| filter == "dev/#" || filter == "run-time";
                    let codes =
                        filters(protocol, packet).into_iter().map(|filter| if is_refused(&filter) { code } else { 0 });
                    suback_of(protocol, packet, &codes.collect::<Vec<_>>())
                }
                _ => behave(packet, &[]),
            })
        });
        let configuration = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n{FILTERS}", broker.port());
        let daemon = Daemon::with(&configuration);
        let line = daemon.wait_for("subscription to dev/# refused");
        assert!(line.contains(&format!("(reason code {code})")), "{line}");
        await_granted(&daemon, &[0, 2]);
        let status = daemon.get("/status").json();
        assert_eq!(status["subscriptions"][1]["reason_code"], code, "{status}");
        assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
        for _ in 0..2 {
            let reply = daemon.connect().post("/subscribe", br#"{"topic": "run-time"}"#);
            let status = if code == 0x87 { 403 } else { 502 };
            assert_eq!((reply.status, &reply.json()["reason_code"]), (status, &json!(code)), "{reply:?}");
        }
        await_granted(&daemon, &[0, 2]);
        assert!(daemon.lines_with("lost").len() <= 3, "{:?}", daemon.lines());
    }
}

#[test]
fn a_receive_maximum_of_0_is_logged_as_a_protocol_error() {
    let broker = ScriptedBroker::start(|n, packet| {
        Some(behave(
            packet,
            match n {
                0 | 1 => &[0x21, 0, 0],
                2 => &[0x27, 0, 0, 0, 0],
                _ => &[],
            },
        ))
    });
    let daemon = Daemon::connected(broker.port());
    for what in ["Receive Maximum", "Maximum Packet Size"] {
        let words = format!("the broker announced a {what} of 0, which is a protocol error");
        assert_eq!(daemon.lines_with(&words).len(), 1, "{:?}", daemon.lines());
    }
    assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
}

/// A DISCONNECT with this reason code.
fn disconnect(code: u8) -> Vec<u8> {
    vec![0xe0, 2, code, 0]
}

#[test]
fn a_filter_is_left_out_when_the_broker_disconnects_over_it() {
    for code in [0x87, 0x95] {
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match packet.kind {
                SUBSCRIBE if packet.filters().iter().any(|filter| filter == "dev/#") => disconnect(code),
                _ => behave(packet, &[]),
            })
        });
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{FILTERS}", broker.port()));
        let ((), others) = beside_eight_others(&daemon, || {
            let line = daemon.wait_for("subscription to dev/# left out for 5 minutes");
            assert!(line.contains(&format!("(reason code {code})")), "{line}");
            await_granted(&daemon, &[0, 2]);
        });
        assert!(others > 0);
        assert_eq!(daemon.lines_with("refuses an MQTT packet").len(), 0, "{:?}", daemon.lines());
        assert!(daemon.lines_with("lost").len() <= 4, "{:?}", daemon.lines());
    }
}

#[test]
fn a_late_undecodable_message_leaves_out_only_its_filter() {
    // the retained message for the first filter is sent when a second filter is subscribed to on the same connection
    let bad = retained(b"dev/\xe9tat", None);
    let mut asked = Vec::new();
    let broker = ScriptedBroker::start(move |n, packet| {
        asked.resize(n + 1, Vec::new());
        Some(match packet.kind {
            CONNECT => vec![0x20, 2, 0, 0],
            SUBSCRIBE => {
                let filters = filters("3.1.1", packet);
                let answer = suback_of("3.1.1", packet, &vec![0; filters.len()]);
                asked[n].extend(filters);
                let is_late = asked[n].iter().any(|filter| filter == "dev/#") && (asked[n].len() > 1 || n > 5);
                [answer, if is_late { bad.clone() } else { Vec::new() }].concat()
            }
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"\n{FILTERS}", broker.port()));
    daemon.wait_for("subscription to dev/# left out");
    await_granted(&daemon, &[0, 2]);
    assert_eq!(daemon.lines_with("left out").len(), 1, "{:?}", daemon.lines());
    assert_eq!(daemon.publish(&body("t", 1, 1)).status, 200);
}
