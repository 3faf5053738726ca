//! Unacknowledged messages after a lost connection: resent, given up or unknown.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::acknowledging::{assert_acknowledged, body, publish_all, topic_of};
use crate::support::SLACK;
use crate::support::daemon::Daemon;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Packet, ScriptedBroker, acknowledgement, acknowledgement_with,
    behave, connack_resuming, receive_maximum,
};

#[test]
fn a_message_that_ends_connections_is_given_up_after_three_tries() {
    for clean_session in [true, false] {
        let broker = ScriptedBroker::start(|n, packet| match packet.kind {
            // a session is kept unless Clean Start is set
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
        assert_eq!(clean_starts, last, "the session with this message is discarded");
    }
}

#[test]
fn no_message_is_sent_after_its_caller_was_answered() {
    // mosquitto, an outage, and another run of mosquitto, whose log is complete
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
fn a_message_whose_connection_was_lost_is_unknown_at_its_deadline_and_not_resent() {
    let mut connections = 0;
    let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
        // the next connections are refused for a while
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
            assert_eq!(reply.status, 503, "there was no connection");
        }
    }
    daemon.wait_for_nth(2, "connected to");
    assert_eq!(daemon.publish(&body("after", 1, 20.0)).status, 200);
    let sent: Vec<String> =
        broker.others().iter().filter(|p| p.kind == PUBLISH).map(|p| p.topic().to_owned()).collect();
    assert_eq!(sent, ["lost", "after"]);
}

#[test]
fn a_resumed_session_resends_with_the_same_identifiers_within_the_receive_maximum() {
    // 20 publishes wait on the first connection; the second allows 2 at a time
    let mut answered = 0;
    let broker = ScriptedBroker::start(move |n, packet| match (n, packet.kind) {
        (0, CONNECT) => Some(connack_resuming(false, &receive_maximum(21))),
        (_, CONNECT) => Some(connack_resuming(true, &receive_maximum(3))),
        (0, PUBLISH) => {
            answered += 1;
            // the broker has received the first one at QoS 2, and closes at the last one
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
                // fills the daemon's queue and the socket buffers, so that writing blocks too
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
fn a_broker_that_answers_pings_but_no_publish_is_disconnected_after_30_s() {
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
fn packet_identifiers_of_an_earlier_run_are_released_before_they_are_used() {
    for (protocol, properties) in [("5", receive_maximum(5).to_vec()), ("3.1.1", Vec::new())] {
        // MQTT 3.1.1 has a shorter CONNACK without properties; MQTT 5 has a reason code for an unknown packet
        // identifier
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
fn an_acknowledgement_just_before_the_end_of_the_connection_counts() {
    let mut first = true;
    let broker = ScriptedBroker::start(move |_, packet| {
        if packet.kind == PUBLISH && std::mem::take(&mut first) {
            // an invalid packet follows, so that both are read together and the connection ends
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
fn messages_over_the_limits_of_a_new_connection_are_not_resent() {
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
fn an_earlier_session_that_cannot_be_released_is_discarded() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        CONNECT => Some(connack_resuming(packet.body[7] & 2 == 0, &[])),
        // as rumqttd does with an unknown packet identifier
        PUBREL if packet.flags == 2 && packet.identifier() == [0, 7] => None,
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nclean-session = false", broker.port()));
    assert_eq!(daemon.publish(&body("t", 1, 20.0)).status, 200);
    assert_eq!(daemon.lines_with("lost").len(), 2, "{:?}", daemon.lines());
}
