//! At QoS 1 and 2 the reply is the broker's acknowledgement of exactly that message.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::post;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Packet, ScriptedBroker, acknowledgement, acknowledgement_with,
    behave, connack_resuming, receive_maximum,
};
use crate::support::{SLACK, free_port};

fn body(topic: &str, qos: u8, timeout: f64) -> String {
    json!({ "topic": topic, "msg": topic, "qos": qos, "timeout": timeout }).to_string()
}

#[track_caller]
fn assert_acknowledged(reply: &Reply, reason_code: Option<u8>) {
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    assert!(reply.json()["packet_id"].as_u64().is_some_and(|id| id > 0), "{reply:?}");
    assert_eq!(reply.json()["reason_code"].as_u64(), reason_code.map(u64::from), "{reply:?}");
}

#[test]
fn each_quality_of_service_is_answered_and_arrives_in_both_versions() {
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
fn a_retained_message_at_qos_1_is_kept_in_both_versions() {
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
fn nobody_who_subscribes_is_reason_code_16() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    assert_acknowledged(&daemon.publish(r#"{"topic": "lonely", "msg": "x", "qos": 1}"#), Some(16));
    // mosquitto does not look for subscribers before the PUBREL, whose answer has no such code
    assert_acknowledged(&daemon.publish(r#"{"topic": "lonely", "msg": "x", "qos": 2}"#), Some(0));
}

#[test]
fn what_the_brokers_access_control_denies_is_403_and_others_go_through() {
    let folder = crate::support::folder::Folder::new();
    let acl = folder.write("acl", "topic readwrite allowed/#\n");
    let configuration = format!("allow_anonymous true\nacl_file {}", acl.display());
    let broker = Mosquitto::on_port(free_port(), &configuration);
    let daemon = Daemon::connected(broker.port());
    // more of them than mosquitto's Receive Maximum of 20: each QoS 2 one costs the library a place
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
fn each_reason_code_of_a_refusal_reaches_the_caller() {
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
            // the topic says what to answer
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
fn a_window_of_one_survives_refusals_at_qos_2() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH if packet.topic() == "no" => acknowledgement_with(PUBREC, packet.identifier(), 135),
            _ => behave(packet, &receive_maximum(1)),
        })
    });
    let daemon = Daemon::connected(broker.port());
    for _ in 0..5 {
        assert_eq!(daemon.publish(&body("no", 2, 5.0)).status, 403);
        assert_eq!(daemon.publish(&body("yes", 2, 5.0)).status, 200);
    }
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn what_is_pipelined_behind_a_waiting_request_holds_up_nobody_else() {
    let broker = ScriptedBroker::start(|_, packet| {
        let withheld = packet.kind == PUBLISH && packet.topic() == "withheld";
        Some(if withheld { Vec::new() } else { behave(packet, &[]) })
    });
    let daemon = Daemon::connected(broker.port());
    let mut first = daemon.begin("/publish", body("withheld", 1, 60.0));
    first.send(&post("/publish", body("behind", 0, 60.0)));
    first.send(&post("/publish", "not even JSON"));
    let withheld = broker.wait_for(PUBLISH).0.identifier();
    for qos in [0, 1, 2, 0, 1, 2] {
        assert_eq!(daemon.publish(&body("third", qos, 15.0)).status, 200, "while the first one waits");
    }
    broker.send(&acknowledgement(PUBACK, withheld));
    assert_eq!(first.reply().status, 200);
    first.reply().assert_published();
    assert_eq!(first.reply().status, 400, "and what was parked is answered in its turn");
}

#[test]
fn acknowledgements_out_of_order_reach_their_own_callers() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH => Vec::new(),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    let mut waiting = Vec::new();
    for topic in ["a", "b", "c"] {
        let connection = daemon.begin("/publish", body(topic, 1, 20.0));
        waiting.push((connection, broker.wait_for(PUBLISH).0));
    }
    for position in [1, 2, 0] {
        let (connection, packet) = &mut waiting[position];
        // each with a code of its own, by which the caller is known
        let code = [0, 16, 151][position];
        broker.send(&acknowledgement_with(PUBACK, packet.identifier(), code));
        let reply = connection.reply();
        assert_eq!(reply.json()["reason_code"], code, "{reply:?}");
        if code < 128 {
            assert_eq!(reply.json()["packet_id"], u16::from_be_bytes(packet.identifier()));
        }
    }
}

/// A broker that answers the first PUBLISH of the first connection with these bytes, made from its packet
/// identifier, and behaves otherwise.
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
fn an_acknowledgement_of_the_wrong_kind_settles_nothing() {
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
        assert_eq!(reply.status, 200, "sent again on the next connection: {reply:?}");
        assert_eq!(daemon.lines_with("lost").len(), 1);
        assert_eq!(broker.wait_for(PUBLISH).0.connection, 0);
        assert_eq!(broker.wait_for(PUBLISH).0.connection, 1);
    }
}

#[test]
fn a_duplicated_acknowledgement_settles_nothing_twice() {
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

/// Publishes this many messages at once, and returns the answers in their order.
fn publish_all(daemon: &Daemon, count: usize, qos: u8, timeout: f64) -> Vec<Reply> {
    let mut connections: Vec<Connection> =
        (0..count).map(|n| daemon.begin("/publish", body(&format!("n/{n}"), qos, timeout))).collect();
    connections.iter_mut().map(Connection::reply).collect()
}

#[test]
fn no_more_is_unacknowledged_than_the_broker_announced() {
    // one place less than announced is used, so that the library has one for a DISCONNECT; of one it takes that
    for (announced, maximum) in [(1, 1), (2, 1), (20, 19)] {
        let outstanding = Arc::new(Mutex::new((0u16, 0u16)));
        let counted = outstanding.clone();
        let broker = ScriptedBroker::start(move |_, packet| {
            let (now, most) = &mut *counted.lock().unwrap();
            Some(match packet.kind {
                // acknowledged only when the next one comes too late to be in the window
                PUBLISH => {
                    *now += 1;
                    *most = (*most).max(*now);
                    if *now < maximum {
                        return Some(Vec::new());
                    }
                    let [high, low] = packet.identifier();
                    let last = u16::from_be_bytes([high, low]);
                    *now = 0;
                    let before = |n| (last + announced - n - 1) % announced + 1;
                    (0..maximum).flat_map(|n| acknowledgement(PUBACK, before(n).to_be_bytes())).collect()
                }
                _ => behave(packet, &receive_maximum(announced)),
            })
        });
        let daemon = Daemon::connected(broker.port());
        let replies = publish_all(&daemon, 57, 1, 10.0);
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        assert_eq!(outstanding.lock().unwrap().1, maximum, "and the window is used");
        assert_eq!(daemon.lines_with("lost").len(), 0, "{:?}", daemon.lines());
    }
}

#[test]
fn what_the_broker_has_no_room_for_in_time_was_certainly_not_sent() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH => Vec::new(),
            _ => behave(packet, &receive_maximum(1)),
        })
    });
    let daemon = Daemon::connected(broker.port());
    let mut first = daemon.begin("/publish", body("first", 1, 20.0));
    let (packet, _) = broker.wait_for(PUBLISH);
    daemon.publish(&body("second", 1, 0.2)).assert_refused(
        503,
        4,
        "not sent: the broker was busy with earlier messages for the whole timeout",
    );
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    assert_eq!(first.reply().status, 200);
    let mut third = daemon.begin("/publish", body("third", 1, 20.0));
    let (packet, _) = broker.wait_for(PUBLISH);
    assert_eq!(packet.topic(), "third");
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    assert_eq!(third.reply().status, 200);
}

#[test]
fn publishes_wait_for_the_broker_and_go_out_in_order_when_it_comes() {
    let port = free_port();
    // a single worker takes requests in the order in which they come
    let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\n[http]\nworkers = 1"));
    daemon.wait_for("cannot connect");
    let mut waiting: Vec<Connection> = Vec::new();
    for n in 0..20 {
        let connection = daemon.begin("/publish", body(&format!("n/{n}"), n % 3, 60.0));
        connection.await_read();
        waiting.push(connection);
        // accepted before the next one is sent: a refused request goes the same way, and is answered
        daemon.publish("{}").assert_refused(400, 3, "field `topic` is missing");
    }
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    for connection in &mut waiting {
        assert_eq!(connection.reply().status, 200);
    }
    broker.wait_for("'n/19'");
    let order: Vec<String> = broker.log_with("Received PUBLISH").iter().map(|line| topic_of(line)).collect();
    let expected: Vec<String> = (0..20).map(|n| format!("n/{n}")).collect();
    assert_eq!(order, expected);
}

fn topic_of(line: &str) -> String {
    line.split('\'').nth(1).unwrap().to_owned()
}

#[test]
fn one_more_than_max_waiting_is_refused_at_once() {
    let config = format!("[mqtt]\nport = {}\n[publish]\nmax-waiting = 3", free_port());
    let daemon = Daemon::with(&config);
    let begun = Instant::now();
    let replies = publish_all(&daemon, 4, 1, 1.0);
    let (refused, waited): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.code() == 15);
    assert_eq!((refused.len(), waited.len()), (1, 3), "{replies:?}");
    refused[0].assert_refused(503, 15, "not sent: too many messages wait for the broker");
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    assert!(waited.iter().all(|reply| reply.code() == 4));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn messages_that_wait_are_bounded_in_bytes_too() {
    let daemon = Daemon::start(free_port());
    let large = json!({"topic": "t", "msg": "x".repeat(1_000_000), "qos": 1, "timeout": 15}).to_string();
    let waiting: Vec<Connection> = (0..120).map(|_| daemon.begin("/publish", &large)).collect();
    let mut statuses: Vec<u64> = waiting.into_iter().map(|mut connection| connection.reply().code()).collect();
    statuses.sort_unstable();
    // 96 MiB of them, less what those that came last took while they were read
    let waited = statuses.iter().filter(|code| **code == 4).count();
    assert!((60..=100).contains(&waited), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|code| **code == 15).count(), statuses.len() - waited, "{statuses:?}");
}

#[test]
fn a_timeout_over_max_timeout_is_refused_and_the_default_is_the_configured_one() {
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.3\nmax-timeout = 0.5", free_port());
    let daemon = Daemon::with(&config);
    let begun = Instant::now();
    assert_eq!(daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1}"#).code(), 4);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    daemon.publish(&body("t", 1, 0.6)).assert_refused(
        400,
        3,
        "`timeout` must be a number of seconds above 0 and up to 0.5, not 0.6",
    );
}

#[test]
fn a_poisoned_message_is_given_up_after_three_tries_and_the_others_go_through() {
    for clean_session in [true, false] {
        let broker = ScriptedBroker::start(|n, packet| match packet.kind {
            // a session that is not to be clean was kept
            CONNECT => Some(connack_resuming(n > 0 && packet.body[7] & 2 == 0, &[])),
            PUBLISH if packet.topic() == "poison" => None,
            _ => Some(behave(packet, &[])),
        });
        let daemon = Daemon::connected_with(&format!(
            "[mqtt]\nport = {}\nreconnect-max = 0.05\nclean-session = {clean_session}",
            broker.port()
        ));
        let mut poison = daemon.begin("/publish", body("poison", 2, 20.0));
        let replies = publish_all(&daemon, 30, 1, 20.0);
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        let words = "given up: the connection ended each of three times that the message was sent";
        poison.reply().assert_refused(502, 13, words);
        assert_eq!(daemon.publish(&body("after", 2, 5.0)).status, 200);
        let packets = broker.others();
        let poisoned = packets.iter().filter(|p| p.kind == PUBLISH && p.topic() == "poison").count();
        assert_eq!(poisoned, 3);
        let clean_starts: Vec<bool> =
            packets.iter().filter(|p| p.kind == CONNECT).map(|connect| connect.body[7] & 2 != 0).collect();
        let last = [clean_session, clean_session, clean_session, true];
        assert_eq!(clean_starts, last, "the session that still has the poison is left");
    }
}

#[test]
fn nothing_appears_after_its_caller_was_told_that_it_was_not_sent_or_unknown() {
    // mosquitto, then an outage, then mosquitto again, watched from its first moment
    let mut broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    assert_eq!(daemon.publish(&body("before", 1, 5.0)).status, 200);
    broker.kill();
    daemon.wait_for("lost");
    let replies: Vec<Reply> = (0..3).flat_map(|qos| publish_all(&daemon, 10, qos, 0.3)).collect();
    for reply in &replies {
        assert_eq!((reply.status, reply.code()), (503, 4), "{reply:?}");
    }
    broker.restart();
    daemon.wait_for_nth(2, "connected to");
    assert_eq!(daemon.publish(&body("after", 1, 5.0)).status, 200);
    broker.wait_for("'after'");
    let published: Vec<String> = broker.log_with("Received PUBLISH").iter().map(|line| topic_of(line)).collect();
    assert_eq!(published, ["after"], "the log of the second broker has nothing else");
}

#[test]
fn what_was_sent_and_lost_its_connection_is_unknown_at_its_deadline_and_not_sent_again() {
    let mut connections = 0;
    let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
        // no second connection for a while
        CONNECT => {
            connections += 1;
            (connections == 1 || connections > 10).then(|| behave(packet, &[]))
        }
        PUBLISH if packet.topic() == "lost" => None,
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.2", broker.port()));
    for qos in [1, 2] {
        let reply = daemon.publish(&body("lost", qos, 0.3));
        if qos == 1 {
            reply.assert_refused(504, 7, "sent, outcome unknown: no acknowledgement from the broker in time");
        } else {
            assert_eq!(reply.status, 503, "this one met no connection");
        }
    }
    daemon.wait_for_nth(2, "connected to");
    assert_eq!(daemon.publish(&body("after", 1, 20.0)).status, 200);
    let sent: Vec<String> =
        broker.others().iter().filter(|p| p.kind == PUBLISH).map(|p| p.topic().to_owned()).collect();
    assert_eq!(sent, ["lost", "after"]);
}

#[test]
fn a_resumed_session_sends_again_what_it_owes_with_its_identifier_and_in_portions() {
    // 20 publishes wait at the first connection; the second takes 2 at a time
    let mut answered = 0;
    let broker = ScriptedBroker::start(move |n, packet| match (n, packet.kind) {
        (0, CONNECT) => Some(connack_resuming(false, &receive_maximum(21))),
        (_, CONNECT) => Some(connack_resuming(true, &receive_maximum(3))),
        (0, PUBLISH) => {
            answered += 1;
            // the broker has received the first one at QoS 2, and dies of the last
            match answered {
                2 => Some(acknowledgement(PUBREC, packet.identifier())),
                20 => None,
                _ => Some(Vec::new()),
            }
        }
        (0, PUBREL) => Some(Vec::new()),
        _ => Some(behave(packet, &[])),
    });
    let config = format!("[mqtt]\nport = {}\nclean-session = false", broker.port());
    let daemon = Daemon::connected_with(&config);
    let mut waiting: Vec<Connection> = Vec::new();
    let mut first: Vec<Packet> = Vec::new();
    for n in 0..20u8 {
        waiting.push(daemon.begin("/publish", body(&format!("n/{n}"), 1 + n % 2, 20.0)));
        first.push(broker.wait_for(PUBLISH).0);
    }
    for connection in &mut waiting {
        assert_eq!(connection.reply().status, 200);
    }
    let again: Vec<Packet> = broker.others().into_iter().filter(|packet| packet.connection == 1).collect();
    let publishes: Vec<&Packet> = again.iter().filter(|packet| packet.kind == PUBLISH).collect();
    assert_eq!(publishes.len(), 19, "all but the one that was received");
    for publish in publishes {
        let original = first.iter().find(|packet| packet.topic() == publish.topic()).unwrap();
        assert_eq!(publish.identifier(), original.identifier());
        assert!(publish.is_duplicate());
    }
    let released = again.iter().position(|packet| packet.kind == PUBREL).unwrap();
    assert!(released < 3, "the second in order: {released}");
    assert_eq!(again[released].identifier(), first[1].identifier());
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
fn properties_are_refused_in_mqtt_3_1_1_and_not_dropped() {
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
fn a_qos_over_the_brokers_maximum_is_refused_and_the_connection_stays() {
    let broker = Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_qos 1");
    let daemon = Daemon::connected(broker.port());
    assert_eq!(daemon.publish(&body("t", 1, 5.0)).status, 200);
    daemon.publish(&body("t", 2, 5.0)).assert_refused(501, 10, "not sent: this broker supports `qos` 1 at most");
    assert_eq!(daemon.publish(&body("t", 1, 5.0)).status, 200);
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn a_stop_settles_what_is_in_flight_and_refuses_what_is_new() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH => Vec::new(),
            _ => behave(packet, &[]),
        })
    });
    let mut daemon = Daemon::connected(broker.port());
    let mut running = daemon.begin("/publish", body("running", 1, 20.0));
    let mut open = daemon.connect();
    // the connection is known to be served
    assert_eq!(open.post("/publish", b"{}").status, 400);
    let (packet, _) = broker.wait_for(PUBLISH);
    daemon.signal("TERM");
    daemon.wait_for("stopping");
    open.post("/publish", body("new", 1, 5.0).as_bytes()).assert_refused(503, 4, "not sent: the bridge is stopping");
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    assert_acknowledged(&running.reply(), Some(0));
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    broker.wait_for(crate::support::scripted_broker::DISCONNECT);
}

#[test]
fn no_more_is_sent_unacknowledged_than_max_inflight_allows() {
    for protocol in ["5", "3.1.1"] {
        let broker = ScriptedBroker::start(|_, packet| {
            Some(if packet.kind == PUBLISH { Vec::new() } else { behave(packet, &[]) })
        });
        let keys = format!("protocol = \"{protocol}\"\nmax-inflight = 3");
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{keys}", broker.port()));
        let replies = publish_all(&daemon, 5, 1, 0.5);
        let count = |status| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!(
            (count(504), count(503)),
            (3, 2),
            "{protocol}: what was sent is unknown, the rest was certainly not"
        );
    }
}

#[test]
fn a_thousand_requests_with_the_largest_timeout_cannot_hold_up_a_stop() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH => Vec::new(),
            _ => behave(packet, &receive_maximum(10)),
        })
    });
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 1\nmax-waiting = 1000", broker.port());
    allow_descriptors(std::process::id());
    let mut daemon = Daemon::connected_with(&config);
    allow_descriptors(daemon.id());
    let mut connections: Vec<Connection> =
        (0..1000).map(|n| daemon.begin("/publish", body(&format!("n/{n}"), 1, 60.0))).collect();
    // one more is refused when all of them are accepted; if it was before the last of them, that one is refused
    let more = daemon.publish(&body("more", 1, 1.0));
    assert_eq!(more.status, 503, "{more:?}");
    let begun = Instant::now();
    daemon.signal("TERM");
    let replies: Vec<Reply> = connections.iter_mut().map(Connection::reply).collect();
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(6) + SLACK, "{:?}", begun.elapsed());
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(504), count(503)), (9, 991), "what was sent is unknown, the rest was certainly not");
}

/// Lets a process have more open files than many systems do.
fn allow_descriptors(process: u32) {
    let raised = Command::new("prlimit").args(["--pid", &process.to_string(), "--nofile=8192"]).status();
    assert!(raised.expect("prlimit is needed for this test").success());
}

#[test]
fn a_silent_broker_is_noticed_within_twice_the_keepalive_and_5_s_in_both_versions() {
    let watched: Vec<_> = ["5", "3.1.1"]
        .map(|protocol| {
            thread::spawn(move || {
                let broker = Mosquitto::start();
                let config = format!("[mqtt]\nport = {}\nkeepalive = 5\nprotocol = \"{protocol}\"", broker.port());
                let daemon = Daemon::connected_with(&config);
                assert_eq!(daemon.publish(&body("t", 1, 5.0)).status, 200);
                broker.signal("STOP");
                let begun = Instant::now();
                // the daemon's queue and the sockets' buffers fill up, so that writing stands still as well
                let large = json!({"topic": "t", "msg": "x".repeat(900_000), "qos": 0, "timeout": 0.5}).to_string();
                for _ in 0..12 {
                    daemon.publish(&large);
                }
                daemon.wait_for("lost");
                assert!(begun.elapsed() < Duration::from_secs(15) + SLACK, "{:?}", begun.elapsed());
                broker.signal("CONT");
                daemon.wait_for_nth(2, "connected to");
                assert_eq!(daemon.publish(&body("t", 2, 10.0)).status, 200);
            })
        })
        .into_iter()
        .collect();
    for thread in watched {
        thread.join().expect("a thread's assertions");
    }
}

#[test]
fn a_broker_that_answers_pings_but_no_publish_is_left_after_30_s() {
    let broker = ScriptedBroker::start(|n, packet| {
        Some(match packet.kind {
            PUBLISH if n == 0 => Vec::new(),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nkeepalive = 20", broker.port()));
    let begun = Instant::now();
    let mut waiting = daemon.begin("/publish", body("t", 1, 60.0));
    waiting.set_patience(Duration::from_secs(50));
    assert_eq!(waiting.reply().status, 200, "by the next connection");
    let took = begun.elapsed();
    assert!((30..30 + SLACK.as_secs()).contains(&took.as_secs()), "{took:?}");
    assert_eq!(daemon.lines_with("lost: no acknowledgement for 30 s").len(), 1, "{:?}", daemon.lines());
}

#[test]
fn a_session_of_an_earlier_run_is_released_before_its_packet_identifiers_are_used() {
    for (protocol, properties) in [("5", receive_maximum(5).to_vec()), ("3.1.1", Vec::new())] {
        // MQTT 3.1.1 has no properties, and so a shorter CONNACK; MQTT 5 has a word for what is not in use
        let older = protocol == "3.1.1";
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match packet.kind {
                CONNECT if older => vec![0x20, 2, 1, 0],
                CONNECT => connack_resuming(true, &properties),
                PUBREL if !older && packet.identifier() != [0, 2] => {
                    acknowledgement_with(PUBCOMP, packet.identifier(), 146)
                }
                _ => behave(packet, &[]),
            })
        });
        let daemon = Daemon::with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nclean-session = false",
            broker.port()
        ));
        for n in 0..20 {
            assert_eq!(daemon.publish(&body(&format!("n/{n}"), 2, 20.0)).status, 200);
        }
        let (_, before) = broker.wait_for(PUBLISH);
        let released: Vec<u16> =
            before.iter().filter(|p| p.kind == PUBREL).map(|p| u16::from_be_bytes(p.identifier())).collect();
        assert_eq!(released, (1..=1024).collect::<Vec<u16>>(), "{protocol}");
        assert_eq!(daemon.lines_with("lost").len(), 0, "{:?}", daemon.lines());
    }
}

#[test]
fn an_acknowledgement_that_came_just_before_the_end_of_the_connection_counts() {
    let mut first = true;
    let broker = ScriptedBroker::start(move |_, packet| {
        if packet.kind == PUBLISH && std::mem::take(&mut first) {
            // the last packet is none, so that both are read together and the connection ends
            return Some([acknowledgement(PUBACK, packet.identifier()), vec![0, 0]].concat());
        }
        Some(behave(packet, &[]))
    });
    let daemon = Daemon::connected(broker.port());
    assert_acknowledged(&daemon.publish(&body("once", 1, 20.0)), Some(0));
    daemon.wait_for_nth(2, "connected to");
    assert_eq!(daemon.publish(&body("after", 1, 20.0)).status, 200);
    let topics: Vec<String> =
        broker.others().iter().filter(|p| p.kind == PUBLISH).map(|p| p.topic().to_owned()).collect();
    assert_eq!(topics, ["once", "after"]);
}

#[test]
fn pipelined_publishes_are_answered_in_their_order_and_never_stand_still() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\n[http]\nworkers = 8", broker.port());
    let daemon = Arc::new(Daemon::connected_with(&config));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let mut connection = daemon.served_connection();
            thread::spawn(move || {
                for round in 0..500 {
                    // a refusal between them is answered by a worker itself
                    let bodies = [body("t", 1, 10.0), "{}".to_owned(), body("t", 0, 10.0), body("t", 2, 10.0)];
                    for body in &bodies {
                        connection.send(&post("/publish", body));
                    }
                    let statuses = bodies.map(|_| connection.reply().status);
                    assert_eq!(statuses, [200, 400, 200, 200], "client {client}, round {round}");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("all are answered");
    }
}

#[test]
fn what_is_pipelined_is_answered_at_a_stop_too() {
    let broker =
        ScriptedBroker::start(|_, packet| Some(if packet.kind == PUBLISH { Vec::new() } else { behave(packet, &[]) }));
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 2", broker.port());
    let mut daemon = Daemon::connected_with(&config);
    let mut connections: Vec<Connection> = (0..50).map(|_| daemon.served_connection()).collect();
    for connection in &mut connections {
        (0..4).for_each(|_| connection.send(&post("/publish", body("t", 1, 60.0))));
        broker.wait_for(PUBLISH);
    }
    daemon.signal("TERM");
    for connection in &mut connections {
        connection.reply().assert_refused(504, 7, "sent, outcome unknown: no acknowledgement from the broker in time");
        for _ in 0..3 {
            connection.reply().assert_refused(503, 4, "not sent: the bridge is stopping");
        }
    }
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(daemon.lines().last().unwrap(), "stopped");
}

#[test]
fn a_stop_sends_disconnect_though_the_window_is_full() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            PUBLISH => Vec::new(),
            _ => behave(packet, &receive_maximum(5)),
        })
    });
    let mut daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[publish]\ntimeout = 1", broker.port()));
    let _waiting: Vec<Connection> = (0..10).map(|_| daemon.begin("/publish", body("t", 1, 60.0))).collect();
    (0..4).for_each(|_| drop(broker.wait_for(PUBLISH)));
    daemon.signal("TERM");
    broker.wait_for(crate::support::scripted_broker::DISCONNECT);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn a_broker_that_came_back_with_smaller_limits_is_not_sent_what_it_forbids() {
    // Maximum QoS 1, no retain, and a Maximum Packet Size of 500
    for limits in [&[0x24, 1][..], &[0x25, 0], &[0x27, 0, 0, 1, 0xf4]] {
        for clean_session in [true, false] {
            let broker = ScriptedBroker::start(move |n, packet| match packet.kind {
                CONNECT if n == 0 => Some(connack_resuming(false, &[])),
                CONNECT => Some(connack_resuming(packet.body[7] & 2 == 0, limits)),
                PUBLISH if n == 0 => None,
                _ => Some(behave(packet, limits)),
            });
            let daemon = Daemon::connected_with(&format!(
                "[mqtt]\nport = {}\nreconnect-max = 0.05\nclean-session = {clean_session}",
                broker.port()
            ));
            let message = json!({"topic": "t", "msg": "x".repeat(1000), "qos": 2, "retain": true, "timeout": 20});
            let reply = daemon.publish(&message.to_string());
            reply.assert_refused(504, 7, "sent, outcome unknown: no acknowledgement from the broker in time");
            assert_eq!(daemon.publish(&body("small", 1, 20.0)).status, 200);
            let sent: Vec<Packet> = broker.others().into_iter().filter(|packet| packet.kind == PUBLISH).collect();
            assert_eq!(sent.iter().map(Packet::topic).collect::<Vec<_>>(), ["t", "small"]);
        }
    }
}

#[test]
fn a_broker_that_cannot_release_an_earlier_session_is_used_without_it() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        CONNECT => Some(connack_resuming(packet.body[7] & 2 == 0, &[])),
        // as rumqttd does with a packet identifier that it does not know
        PUBREL if packet.flags == 2 && packet.identifier() == [0, 7] => None,
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nclean-session = false", broker.port()));
    assert_eq!(daemon.publish(&body("t", 1, 20.0)).status, 200);
    assert_eq!(daemon.lines_with("lost").len(), 2, "{:?}", daemon.lines());
}
