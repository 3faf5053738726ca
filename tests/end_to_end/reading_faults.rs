//! `GET /topics/{topic}` where the broker is slow, away or unusual: never a wrong 404, and few SUBSCRIBEs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::reading::{assert_nothing, assert_value, waiting};
use crate::retained::retained;
use crate::sockets::start;
use crate::subscriptions::listed;
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::folder::Folder;
use crate::support::http::Connection;
use crate::support::metrics::await_figure;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{head, request};
use crate::support::scripted_broker::{
    NO_SUBSCRIPTION_IDENTIFIERS, Packet, SUBSCRIBE, ScriptedBroker, UNSUBSCRIBE, answer_filters, behave, publish,
};
use crate::support::waiting::{eventually, pause};
use crate::support::{PATIENCE, SLACK, free_port};

const RECORD: &str = "Received message on topic: a with payload: ";

/// The answer of a broker with these properties, which has no retained messages.
fn answer(packet: &Packet, properties: &[u8]) -> Vec<u8> {
    match packet.kind {
        SUBSCRIBE | UNSUBSCRIBE => answer_filters(packet, |_| None),
        _ => behave(packet, properties),
    }
}

fn daemon(broker: &ScriptedBroker, http: &str) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1\n[http]\n{http}", broker.port()))
}

/// A request that waits for its reply.
fn ask(daemon: &Daemon, path: &str) -> Connection {
    let mut connection = daemon.served_connection();
    connection.send(&request("GET", path, &[], ""));
    connection
}

#[test]
fn a_retained_message_may_come_before_the_suback() {
    for properties in [&[][..], &NO_SUBSCRIPTION_IDENTIFIERS] {
        let broker = ScriptedBroker::start(|_, packet| {
            let kept = |packet: &Packet| retained("a", "kept", packet.subscription_properties());
            let before = if packet.kind == SUBSCRIBE { kept(packet) } else { Vec::new() };
            Some([before, answer(packet, properties)].concat())
        });
        let daemon = daemon(&broker, "retained-wait = 30");
        for _ in 0..3 {
            assert_value(&daemon.get("/topics/a"), "kept", true);
        }
    }
}

#[test]
fn after_a_lost_connection_the_wait_begins_with_the_suback_on_the_next_one() {
    const WAIT: f64 = 1.0;
    for value in ["kept", ""] {
        let broker = ScriptedBroker::start(|connection, packet| {
            // the second connection is answered by the test
            let is_left = packet.kind == SUBSCRIBE && connection == 1;
            Some(if is_left { Vec::new() } else { answer(packet, &[]) })
        });
        let daemon = daemon(&broker, &format!("retained-wait = {WAIT}"));
        let mut reader = waiting(&daemon, "a", "");
        broker.wait_for(SUBSCRIBE);
        broker.close();
        let (subscribe, _) = broker.wait_for(SUBSCRIBE);
        // a slow broker: by now the first wait would be over
        pause(Duration::from_secs_f64(1.5 * WAIT));
        let answered = Instant::now();
        broker.send(&answer_filters(&subscribe, |_| None));
        if value.is_empty() {
            assert_nothing(&reader.reply(), WAIT);
            assert!(answered.elapsed() >= Duration::from_secs_f64(WAIT), "{:?}", answered.elapsed());
        } else {
            broker.send(&retained("a", value, subscribe.subscription_properties()));
            assert_value(&reader.reply(), value, true);
        }
    }
}

#[test]
fn without_a_connection_the_reply_is_503() {
    let away = Daemon::with(&format!("[mqtt]\nport = {}", free_port()));
    for query in ["?timeout=0.2", "?timeout=0.2&wait=0.1"] {
        let reply = away.get(&format!("/topics/a{query}"));
        reply.assert_refused(503, 4, "not done: there was no connection to the broker within the timeout");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    // and where it was lost before the retained message came
    let mut broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nretained-wait = 0.5", broker.port()));
    let mut reader = waiting(&daemon, "a", "?timeout=1");
    broker.kill();
    let words = "not done: there was no connection to the broker within the timeout";
    reader.reply().assert_refused(503, 4, words);
}

#[test]
fn a_refused_subscribe_is_the_reply_and_a_missing_answer_504() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE if packet.filters() == ["silent"] => Vec::new(),
            SUBSCRIBE => answer_filters(packet, |filter| filter.parse().ok()),
            _ => behave(packet, &[]),
        })
    });
    let daemon = daemon(&broker, "");
    for (code, status, ours) in [(135, 403, 12), (128, 502, 13)] {
        let reply = daemon.get(&format!("/topics/{code}"));
        assert_eq!((reply.status, reply.code(), &reply.json()["reason_code"]), (status, ours, &code.into()));
        assert_eq!(listed(&daemon, &code.to_string()), None);
    }
    let reply = daemon.get("/topics/silent?timeout=0.3");
    reply.assert_refused(504, 7, "asked, outcome unknown: no answer from the broker in time");
}

/// A broker without subscription identifiers, as in MQTT 3.1.1, whose retained messages the test sends.
fn without_identifiers() -> ScriptedBroker {
    ScriptedBroker::start(|_, packet| Some(answer(packet, &NO_SUBSCRIPTION_IDENTIFIERS)))
}

#[test]
fn without_identifiers_a_value_is_read_although_a_wider_filter_is_subscribed_to_meanwhile() {
    let broker = without_identifiers();
    let daemon = daemon(&broker, "retained-wait = 30");
    let mut reader = waiting(&daemon, "a", "");
    let mut wider = Listener::open(&daemon, "#");
    broker.send(&retained("a", "kept", &[]));
    assert_value(&reader.reply(), "kept", true);
    assert_eq!(wider.message()["payload"], "kept");
}

#[test]
fn without_identifiers_a_reader_gets_the_next_message_by_a_wider_filter() {
    let broker = without_identifiers();
    let daemon = daemon(&broker, "retained-wait = 0.3");
    let (mut next, mut nothing) = (waiting(&daemon, "a", "?wait=60"), waiting(&daemon, "b", ""));
    let _wider = Listener::open(&daemon, "#");
    broker.wait_for(UNSUBSCRIBE);
    broker.send(&publish("a", "next", &[]));
    assert_value(&next.reply(), "next", false);
    assert_nothing(&nothing.reply(), 0.3);
}

#[test]
fn without_identifiers_the_journal_gets_a_retained_message_once_however_early_it_is_read() {
    let broker = ScriptedBroker::start(|_, packet| {
        // the test answers
        Some(if packet.kind == SUBSCRIBE { Vec::new() } else { answer(packet, &NO_SUBSCRIPTION_IDENTIFIERS) })
    });
    let rest = "[[subscribe]]\ntopic = \"a\"\n[http]\nretained-wait = 30";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{rest}", broker.port()));
    let (first, _) = broker.wait_for(SUBSCRIBE);
    let mut reader = ask(&daemon, "/topics/a");
    await_figure(daemon.address(), "mqtt_bridge_listeners", "1");
    broker.send(&answer_filters(&first, |_| None));
    let (second, _) = broker.wait_for(SUBSCRIBE);
    broker.send(&retained("a", "kept", &[]));
    broker.send(&[answer_filters(&second, |_| None), retained("a", "kept", &[])].concat());
    assert_value(&reader.reply(), "kept", true);
    broker.send(&publish("a", "end", &[]));
    daemon.wait_for(&format!("{RECORD}end"));
    assert_eq!(daemon.lines_with(RECORD).len(), 2, "{:?}", daemon.lines());
}

#[test]
fn a_stop_is_answered_with_503_at_once() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nretained-wait = 60", broker.port()));
    let mut readers = [waiting(&daemon, "a", ""), waiting(&daemon, "b", "?wait=60")];
    let begun = Instant::now();
    daemon.signal("TERM");
    for reader in &mut readers {
        reader.reply().assert_refused(503, 4, "not done: the bridge is stopping");
    }
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
}

#[test]
fn a_thousand_readers_of_one_topic_cost_one_subscription_and_few_subscribes() {
    const READERS: usize = 1000;
    for value in ["kept", ""] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let broker = ScriptedBroker::start(move |_, packet| {
            let is_first = packet.kind == SUBSCRIBE && counted.fetch_add(1, Ordering::SeqCst) == 0;
            // the test answers the first one
            Some(match packet.kind {
                SUBSCRIBE if is_first => Vec::new(),
                SUBSCRIBE if !value.is_empty() => {
                    [answer(packet, &[]), retained("a", value, packet.subscription_properties())].concat()
                }
                _ => answer(packet, &[]),
            })
        });
        let daemon = daemon(&broker, &format!("max-listeners = {READERS}\nmax-connections = 1100\nretained-wait = 5"));
        let mut readers: Vec<Connection> = (0..READERS).map(|_| ask(&daemon, "/topics/a?timeout=60")).collect();
        await_figure(daemon.address(), "mqtt_bridge_listeners", &READERS.to_string());
        let full = daemon.get("/topics/a");
        full.assert_refused(503, 15, "there are as many listeners as `max-listeners` allows");
        let (first, _) = broker.wait_for(SUBSCRIBE);
        let begun = Instant::now();
        broker.send(&answer_filters(&first, |_| None));
        for reader in &mut readers {
            let reply = reader.reply();
            if value.is_empty() { assert_nothing(&reply, 5.0) } else { assert_value(&reply, value, true) }
        }
        let least = Duration::from_secs(if value.is_empty() { 5 } else { 0 });
        assert!(begun.elapsed() >= least && begun.elapsed() < least + SLACK, "{:?}", begun.elapsed());
        assert!(count.load(Ordering::SeqCst) <= 3, "{count:?} SUBSCRIBEs");
        await_figure(daemon.address(), "mqtt_bridge_listeners", "0");
        // there is room for the next one
        let _listener = Listener::open(&daemon, "b");
    }
}

#[test]
fn a_client_that_leaves_while_the_broker_is_away_frees_its_place() {
    let mut broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nreconnect-max = 0.1\n[http]\nmax-listeners = 1\nretained-wait = 0.3",
        broker.port()
    ));
    let reader = waiting(&daemon, "a", "?wait=60&timeout=60");
    broker.kill();
    daemon.wait_for("lost: ");
    drop(reader);
    let refused = || daemon.get("/topics/a?timeout=0.1").error();
    let begun = Instant::now();
    eventually("room for a reader", refused, |error| error.starts_with("not done: there was no connection"));
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
}

#[test]
fn a_topic_is_read_on_a_unix_socket() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    broker.publish(&["-t", "a", "-r", "-m", "kept"]);
    let path = folder.path().join("bridge.sock");
    let http = format!("[http]\nlisten = \"unix:{}\"\nmax-listeners = 1", path.display());
    let daemon = start(&folder, &format!("[mqtt]\nport = {}\n{http}", broker.port()), "unix:");
    daemon.wait_for("connected to");
    for (target, status, body) in [("a", "200", "kept"), ("b?wait=0.1", "204", ""), ("a", "200", "kept")] {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
            .write_all(head("GET", &format!("/topics/{target}"), "1.1", &[("Connection", "close")]).as_bytes())
            .unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        let (beginning, rest) = reply.split_once("\r\n\r\n").unwrap();
        assert!(beginning.starts_with(&format!("HTTP/1.1 {status} ")) && rest == body, "{reply}");
    }
}
