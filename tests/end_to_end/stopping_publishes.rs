//! Publishes that wait when the daemon stops.

use std::time::{Duration, Instant};

use crate::acknowledging::{assert_acknowledged, body};
use crate::support::SLACK;
use crate::support::daemon::Daemon;
use crate::support::http::{Connection, Reply};
use crate::support::limits::limit;
use crate::support::request::post;
use crate::support::scripted_broker::{PUBACK, PUBLISH, ScriptedBroker, acknowledgement, receive_maximum};

#[test]
fn a_stop_completes_messages_in_flight_and_refuses_new_ones() {
    let broker = ScriptedBroker::withholding(&[]);
    let mut daemon = Daemon::connected(broker.port());
    let mut running = daemon.begin("/publish", body("running", 1, 20.0));
    let mut open = daemon.connect();
    // wait until a thread serves the connection
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
fn a_thousand_requests_with_the_largest_timeout_do_not_delay_a_stop() {
    let broker = ScriptedBroker::withholding(&receive_maximum(10));
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 1\nmax-waiting = 1000", broker.port());
    limit(std::process::id(), "nofile=8192");
    let mut daemon = Daemon::connected_with(&config);
    limit(daemon.id(), "nofile=8192");
    let mut connections: Vec<Connection> =
        (0..1000).map(|n| daemon.begin("/publish", body(&format!("n/{n}"), 1, 60.0))).collect();
    // refused once all of them are accepted; if it came before the last one, that one is refused instead
    let more = daemon.publish(&body("more", 1, 1.0));
    assert_eq!(more.status, 503, "{more:?}");
    let begun = Instant::now();
    daemon.signal("TERM");
    let replies: Vec<Reply> = connections.iter_mut().map(Connection::reply).collect();
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(6) + SLACK, "{:?}", begun.elapsed());
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(504), count(503)), (9, 991), "sent messages are unknown, the others were not sent");
}

#[test]
fn a_stop_answers_pipelined_requests() {
    let broker = ScriptedBroker::withholding(&[]);
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
fn a_stop_sends_disconnect_with_a_full_quota() {
    let broker = ScriptedBroker::withholding(&receive_maximum(5));
    let mut daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[publish]\ntimeout = 1", broker.port()));
    let _waiting: Vec<Connection> = (0..10).map(|_| daemon.begin("/publish", body("t", 1, 60.0))).collect();
    (0..4).for_each(|_| drop(broker.wait_for(PUBLISH)));
    daemon.signal("TERM");
    broker.wait_for(crate::support::scripted_broker::DISCONNECT);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}
