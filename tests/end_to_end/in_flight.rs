//! Waiting and unacknowledged messages: limits, order and pipelining.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::acknowledging::{body, publish_all, topic_of};
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::post;
use crate::support::scripted_broker::{
    PUBACK, PUBLISH, PUBREC, ScriptedBroker, acknowledgement, acknowledgement_with, behave, receive_maximum,
};

#[test]
fn a_receive_maximum_of_1_survives_refusals_at_qos_2() {
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
fn requests_pipelined_behind_a_waiting_one_delay_no_other_client() {
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
    assert_eq!(first.reply().status, 400, "the pipelined request is answered in order");
}

#[test]
fn unacknowledged_messages_stay_within_the_receive_maximum() {
    // one less than announced is used, which leaves rumqttc one for the DISCONNECT; of one it takes that
    for (announced, maximum) in [(1, 1), (2, 1), (20, 19)] {
        let outstanding = Arc::new(Mutex::new((0u16, 0u16)));
        let counted = outstanding.clone();
        let broker = ScriptedBroker::start(move |_, packet| {
            let (now, most) = &mut *counted.lock().unwrap();
            Some(match packet.kind {
                // acknowledged only when one more would exceed the limit
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
        assert_eq!(outstanding.lock().unwrap().1, maximum, "the whole quota is used");
        assert_eq!(daemon.lines_with("lost").len(), 0, "{:?}", daemon.lines());
    }
}

#[test]
fn a_publish_that_finds_no_quota_in_time_is_reported_as_not_sent() {
    let broker = ScriptedBroker::withholding(&receive_maximum(1));
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
fn publishes_wait_for_the_broker_and_are_sent_in_order() {
    let port = free_port();
    // a single worker takes requests in order of arrival
    let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\n[http]\nworkers = 1"));
    daemon.wait_for("cannot connect");
    let mut waiting: Vec<Connection> = Vec::new();
    for n in 0..20 {
        let connection = daemon.begin("/publish", body(&format!("n/{n}"), n % 3, 60.0));
        connection.await_read();
        waiting.push(connection);
        // a refused request takes the same way, so that the one before it is accepted when this one is answered
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

#[test]
fn a_publish_over_max_waiting_is_refused_at_once() {
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
fn waiting_messages_are_limited_in_bytes() {
    let daemon = Daemon::start(free_port());
    let large = json!({"topic": "t", "msg": "x".repeat(1_000_000), "qos": 1, "timeout": 15}).to_string();
    let waiting: Vec<Connection> = (0..120).map(|_| daemon.begin("/publish", &large)).collect();
    let mut statuses: Vec<u64> = waiting.into_iter().map(|mut connection| connection.reply().code()).collect();
    statuses.sort_unstable();
    // 96 MiB in total, less the memory of bodies that are still being read
    let waited = statuses.iter().filter(|code| **code == 4).count();
    assert!((60..=100).contains(&waited), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|code| **code == 15).count(), statuses.len() - waited, "{statuses:?}");
}

#[test]
fn a_timeout_over_max_timeout_is_refused_and_the_default_is_configurable() {
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
fn unacknowledged_messages_stay_within_max_inflight() {
    for protocol in ["5", "3.1.1"] {
        let broker = ScriptedBroker::withholding(&[]);
        let keys = format!("protocol = \"{protocol}\"\nmax-inflight = 3");
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{keys}", broker.port()));
        let replies = publish_all(&daemon, 5, 1, 3.0);
        let count = |status| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!((count(504), count(503)), (3, 2), "{protocol}: sent messages are unknown, the others were not sent");
    }
}

#[test]
fn pipelined_publishes_are_answered_in_order_without_stalling() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\n[http]\nworkers = 8", broker.port());
    let daemon = Arc::new(Daemon::connected_with(&config));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let mut connection = daemon.served_connection();
            thread::spawn(move || {
                for round in 0..500 {
                    // a worker answers the refused request between them
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
