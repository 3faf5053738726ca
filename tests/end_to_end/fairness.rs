//! Constant publishing and constant subscribing do not block each other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::subscriptions::{assert_granted, subscribe, unsubscribe};
use crate::support::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, SUBSCRIBE, ScriptedBroker, UNSUBSCRIBE, answer_filters, behave, connack, receive_maximum,
};
use crate::support::waiting::eventually;

/// A step that a thread repeats until the test ends.
struct Load {
    done: AtomicBool,
    /// How often the step succeeded.
    count: AtomicUsize,
}

/// Stops a load at the end of the test.
struct Done<'a>(&'a Load);

impl Load {
    const fn new() -> Self {
        Self { done: AtomicBool::new(false), count: AtomicUsize::new(0) }
    }

    fn keep_up(&self, mut step: impl FnMut() -> bool) {
        // an upper limit in case the test fails
        let deadline = Instant::now() + 4 * PATIENCE;
        while !self.done.load(Ordering::SeqCst) && Instant::now() < deadline {
            self.count.fetch_add(step().into(), Ordering::SeqCst);
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits for this many more successful steps.
    #[track_caller]
    fn await_more(&self, more: usize) {
        let wanted = self.count() + more;
        eventually(&format!("a count of {wanted}"), || self.count(), |count| *count >= wanted);
    }
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::SeqCst);
    }
}

/// A client that publishes enough messages at a time that one of them always waits.
fn publish_on(daemon: &Daemon, load: &Load) {
    let mut connection = daemon.connect();
    let body = json!(vec![json!({"topic": "t", "msg": "x", "qos": 1}); 100]).to_string();
    load.keep_up(|| connection.post("/publish/bulk", body.as_bytes()).status == 200);
}

/// A client that subscribes to a topic filter and unsubscribes from it.
fn subscribe_on(daemon: &Daemon, load: &Load, topic: &str) {
    let mut connection = daemon.connect();
    let body = json!({"topic": topic, "timeout": 1}).to_string();
    load.keep_up(|| {
        let subscribed = connection.post("/subscribe", body.as_bytes()).status == 200;
        connection.post("/unsubscribe", body.as_bytes()).status == 200 && subscribed
    });
}

#[test]
fn publishing_and_subscribing_both_progress_with_a_receive_maximum_of_1() {
    for maximum in [1, 2, 3] {
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match packet.kind {
                CONNECT => connack(0, &receive_maximum(maximum)),
                SUBSCRIBE | UNSUBSCRIBE => answer_filters(packet, |_| None),
                _ => behave(packet, &[]),
            })
        });
        let daemon = Daemon::connected(broker.port());
        let (publishing, subscribing) = (Load::new(), Load::new());
        thread::scope(|scope| {
            let _done = (Done(&publishing), Done(&subscribing));
            for _ in 0..4 {
                scope.spawn(|| publish_on(&daemon, &publishing));
            }
            publishing.await_more(4);
            for n in 0..10 {
                let topic = format!("filter/{n}");
                assert_granted(&subscribe(&daemon, &topic, 1), &topic, 1);
                assert_eq!(unsubscribe(&daemon, &topic).status, 200);
            }
            let (daemon, subscribing) = (&daemon, &subscribing);
            for n in 0..8 {
                scope.spawn(move || subscribe_on(daemon, subscribing, &format!("load/{n}")));
            }
            subscribing.await_more(50);
            publishing.await_more(10);
        });
        assert_eq!(daemon.lines_with("lost").len(), 0);
    }
}

#[test]
fn publishing_continues_after_a_reconnect_under_constant_subscribing() {
    let mut broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nreconnect-max = 0.1\n[[subscribe]]\ntopic = \"in\"",
        broker.port()
    ));
    let subscribing = Load::new();
    thread::scope(|scope| {
        let _done = Done(&subscribing);
        let (daemon, subscribing) = (&daemon, &subscribing);
        for n in 0..16 {
            scope.spawn(move || subscribe_on(daemon, subscribing, &format!("load/{n}")));
        }
        subscribing.await_more(50);
        for round in 0..2 {
            broker.kill();
            broker.restart();
            daemon.wait_for_nth(round + 2, "connected to");
            subscribing.await_more(1);
            let mut connection = daemon.connect();
            for _ in 0..20 {
                let reply = connection.post("/publish", br#"{"topic":"t","msg":"x","qos":1,"timeout":5}"#);
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            subscribing.await_more(50);
        }
    });
}
