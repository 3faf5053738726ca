//! A stream of `GET /messages` that is opened while there is no broker, for clients that never retry after a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::listeners::refusal;
use crate::resuming::{event_source, payloads};
use crate::subscriptions::listed;
use crate::support::daemon::Daemon;
use crate::support::events::{Item, Listener, target};
use crate::support::metrics::await_figure;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{CONNECT, SUBSCRIBE, ScriptedBroker, answer_filters, behave};
use crate::support::{PATIENCE, free_port};

/// A daemon that reconnects quickly.
fn daemon(port: u16, more: &str) -> Daemon {
    Daemon::with(&format!("[mqtt]\nport = {port}\nreconnect-max = 0.1\n{more}"))
}

#[test]
fn a_stream_opened_without_a_broker_gets_later_messages() {
    for protocol in ["5", "3.1.1"] {
        let port = free_port();
        // a long timeout, so that a reply at the timeout would fail the test
        let daemon = daemon(port, &format!("protocol = \"{protocol}\"\n[publish]\ntimeout = 60\nmax-timeout = 60"));
        let mut first = Listener::open(&daemon, "a/#");
        assert_eq!(first.item_within(PATIENCE), Some(Item::Comment), "it begins as any other");
        let mut second = Listener::open(&daemon, "a/#");
        let expected = json!({"topic": "a/#", "qos": 0, "granted_qos": null, "source": "listener", "listeners": 2});
        let mut found = listed(&daemon, "a/#").unwrap();
        found.as_object_mut().unwrap().entry("granted_qos").or_insert_with(|| json!(null));
        assert_eq!(found, expected);
        let mut broker = Mosquitto::on_port(port, "allow_anonymous true");
        broker.wait_for("\ta/# (QoS 0)");
        broker.publish(&["-t", "a/b", "-m", "1"]);
        for listener in [&mut first, &mut second] {
            assert_eq!(listener.message()["payload"], "1");
        }
        // the same after a lost connection, also for a resumed listener
        broker.kill();
        daemon.wait_for("lost: ");
        let id = first.last_id().to_owned();
        let mut third = Listener::open(&daemon, "b/#");
        let mut resumed = Listener::resume(&daemon, "a/#", &id);
        broker.restart();
        broker.wait_for("\tb/# (QoS 0)");
        broker.publish(&["-t", "b/c", "-m", "2"]);
        assert_eq!(third.lagged(), None, "messages may have been missed without a broker");
        assert_eq!(third.message()["payload"], "2");
        broker.publish(&["-t", "a/c", "-m", "3"]);
        for listener in [&mut first, &mut second, &mut resumed] {
            assert_eq!(listener.lagged(), None);
            assert_eq!(listener.payloads_until("3"), [""; 0]);
        }
    }
}

#[test]
fn an_event_source_opened_without_a_broker_stays_open() {
    let port = free_port();
    let daemon = daemon(port, "");
    let client = event_source(daemon.address().rsplit_once(':').unwrap().1, "r/%23");
    client.wait_for("open");
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    broker.wait_for("\tr/# (QoS 0)");
    broker.publish(&["-t", "r/x", "-m", "1"]);
    client.wait_for("\"payload\":\"1\"");
    assert_eq!(payloads(&client), ["1"]);
    assert_eq!(client.lines_with("error").len(), 0);
}

/// A broker that accepts connections only when the flag is set, refuses filters that are numbers, and closes the
/// connection over `deadly`.
fn broker_that_comes() -> (ScriptedBroker, Arc<AtomicBool>) {
    let is_there = Arc::new(AtomicBool::new(false));
    let asked = is_there.clone();
    let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
        CONNECT if !asked.load(Ordering::SeqCst) => None,
        SUBSCRIBE if packet.filters().contains(&"deadly".to_owned()) => None,
        SUBSCRIBE => Some(answer_filters(packet, |filter| filter.parse().ok())),
        _ => Some(behave(packet, &[])),
    });
    (broker, is_there)
}

#[test]
fn a_later_refusal_of_the_broker_is_an_event_of_the_stream() {
    let (broker, is_there) = broker_that_comes();
    let daemon = daemon(broker.port(), "");
    let mut listener = Listener::open(&daemon, "135");
    is_there.store(true, Ordering::SeqCst);
    let event = listener.event();
    assert_eq!((event.name.as_str(), event.id.as_deref()), ("refused", None), "{event:?}");
    assert_eq!(event.data["reason_code"], 135, "{event:?}");
    assert!(event.data["error"].as_str().unwrap().starts_with("refused by the broker: "), "{event:?}");
    // now that there is a broker, the reply is a refusal
    let reply = refusal(&daemon, &target("135"), &[]);
    assert_eq!((reply.status, reply.code()), (403, 12), "{reply:?}");
    assert_eq!(listener.event().data["reason_code"], 135, "it was asked again");
    await_figure(daemon.address(), "mqtt_bridge_listeners", "1");
}

#[test]
fn a_stream_is_refused_when_its_filter_ends_connections() {
    let (broker, is_there) = broker_that_comes();
    let daemon = daemon(broker.port(), "");
    let mut listener = Listener::open(&daemon, "deadly");
    is_there.store(true, Ordering::SeqCst);
    let event = listener.event();
    assert_eq!((event.name.as_str(), &event.data["reason_code"]), ("refused", &json!(null)), "{event:?}");
    assert_eq!(daemon.publish(r#"{"topic":"a","msg":"x","qos":1}"#).status, 200);
    let _other = Listener::open(&daemon, "fine");
    assert_eq!(daemon.publish(r#"{"topic":"a","msg":"x","qos":1}"#).status, 200);
    daemon.wait_for_nth(3, "connected to 127.0.0.1:");
    let connected = daemon.lines_with("connected to 127.0.0.1:").len();
    assert_eq!(connected, 3, "{:?}", daemon.lines());
}

#[test]
fn refusals_that_need_no_broker_are_sent_at_once() {
    let daemon = daemon(free_port(), "[http]\nmax-listeners = 1");
    let _only = Listener::open(&daemon, "a");
    let reply = refusal(&daemon, &target("a"), &[]);
    assert_eq!((reply.status, reply.code()), (503, 15), "{reply:?}");
    assert_eq!(refusal(&daemon, "/messages", &[]).status, 400);
}

#[test]
fn a_stream_opened_without_a_broker_ends_with_the_daemon() {
    let mut daemon = daemon(free_port(), "");
    let mut listener = Listener::open(&daemon, "a");
    daemon.signal("TERM");
    listener.assert_ended();
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}
