//! Streams: they continue over restarts of the broker, end with the daemon, and delay no other client.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::background_client::BackgroundClient;
use crate::support::daemon::Daemon;
use crate::support::events::{Item, Listener, target};
use crate::support::http::Connection;
use crate::support::limits::limit;
use crate::support::metrics::{await_figure, metrics, value};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::head;
use crate::support::waiting::eventually;
use crate::support::{PATIENCE, SLACK, free_port};

/// A number with padding, so that the socket buffers hold only a few of them.
fn padded(n: u64) -> String {
    format!("{n}{}", " ".repeat(1000))
}

#[test]
fn a_comment_is_sent_every_15_s_and_request_limits_do_not_end_a_stream() {
    let broker = Mosquitto::start();
    let limits = "idle-timeout = 1\nrequest-timeout = 1\nmax-connections = 10";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\n{limits}", broker.port()));
    let mut listener = Listener::open(&daemon, "a");
    broker.publish(&["-t", "a", "-m", "1"]);
    assert_eq!(listener.message()["payload"], "1");
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(listener.item_within(Duration::from_secs(15) + SLACK), Some(Item::Comment));
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(12), "{took:?}");
        // other idle connections are evicted, but not the listener
        let asking = |_| {
            let mut other = daemon.connect();
            other.get("/nothing");
            other
        };
        drop((0..20).map(asking).collect::<Vec<_>>());
    }
    broker.publish(&["-t", "a", "-m", "2"]);
    assert_eq!(listener.message()["payload"], "2");
}

#[test]
fn streams_differ_in_their_retry_times() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let times: BTreeSet<u32> = (0..8).map(|_| Listener::open(&daemon, "a").retry()).collect();
    assert!(times.len() > 1 && times.iter().all(|time| (1000..=4000).contains(time)), "{times:?}");
}

#[test]
fn a_stream_continues_over_restarts_of_the_broker_in_both_versions() {
    for protocol in ["5", "3.1.1"] {
        let mut broker = Mosquitto::start();
        let daemon = Daemon::connected_with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = 0.1",
            broker.port()
        ));
        let mut listeners = ["a/#", "a/b", "a/#"].map(|filter| Listener::open(&daemon, filter));
        for round in ["1", "2", "3"] {
            // it may be covered by the other filter, or not
            broker.publish(&["-t", "a/b", "-q", "1", "-m", round]);
            for listener in &mut listeners {
                if round != "1" {
                    assert_eq!(listener.lagged(), None, "messages may have been missed");
                }
                assert_eq!(listener.payloads_until(round), Vec::<String>::new(), "each once");
            }
            broker.kill();
            broker.restart();
            broker.wait_for("\ta/# (QoS 0)");
            daemon.wait_for_nth(1 + round.parse::<usize>().unwrap(), "connected to 127.0.0.1:");
            // acknowledged after the SUBACK
            assert_eq!(daemon.publish(r#"{"topic":"other","msg":"x","qos":1}"#).status, 200);
        }
    }
}

#[test]
fn a_stalled_listener_is_told_exactly_how_many_messages_it_missed() {
    const BATCH: u64 = 500;
    const BATCHES: u64 = 40;
    let broker = Mosquitto::unlimited();
    let daemon = Daemon::connected(broker.port());
    let mut stalled = Listener::with_small_buffer(&daemon, "s/#");
    let mut beside = Listener::open(&daemon, "s/#");
    for batch in 0..BATCHES {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let _publisher = broker.publish_lines("s/x", numbers.clone().map(padded));
        assert_eq!(daemon.publish(r#"{"topic":"other","msg":"x","qos":1}"#).status, 200);
        for number in numbers {
            assert_eq!(beside.message()["payload"], padded(number), "the other listener misses nothing");
        }
    }
    // now it reads: buffered messages, the gap, and new messages
    let (mut next, mut missed) = (0, 0);
    broker.publish(&["-t", "s/x", "-m", "end"]);
    loop {
        let event = stalled.event();
        if event.name == "lagged" {
            let lost = event.data["missed"].as_u64().unwrap_or_else(|| panic!("{event:?}"));
            assert!(lost > 0, "{event:?}");
            (next, missed) = (next + lost, missed + lost);
        } else if event.data["payload"] == "end" {
            break;
        } else {
            assert_eq!(event.data["payload"], padded(next), "after {missed} that were missed");
            next += 1;
        }
    }
    assert_eq!(next, BATCH * BATCHES, "received and missed messages are all messages");
    assert!(missed > 0, "nothing was missed: the system took {next} messages");
    assert_eq!(beside.message()["payload"], "end");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let figure = missed as f64;
    assert_eq!(value(&metrics(daemon.address()), "mqtt_bridge_lagged_messages_total").to_bits(), figure.to_bits());
    // and it continues normally
    broker.publish(&["-t", "s/x", "-m", "after"]);
    assert_eq!(stalled.message()["payload"], "after");
}

#[test]
fn stalled_listeners_delay_neither_others_nor_a_stop() {
    let broker = Mosquitto::unlimited();
    let mut daemon = Daemon::connected(broker.port());
    let stalled: Vec<Listener> = (0..50).map(|_| Listener::with_small_buffer(&daemon, "s/#")).collect();
    let background = BackgroundClient::start(&daemon);
    let mut beside = Listener::open(&daemon, "s/#");
    for batch in 0..10 {
        let _publisher = broker.publish_lines("s/x", (batch * 500..(batch + 1) * 500).map(padded));
        for number in batch * 500..(batch + 1) * 500 {
            assert_eq!(beside.message()["payload"], padded(number));
        }
    }
    background.assert_undisturbed();
    daemon.signal("TERM");
    let begun = Instant::now();
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "the stop took {:?}", begun.elapsed());
    beside.assert_ended();
    drop(stalled);
}

#[test]
fn a_stop_ends_streams_properly() {
    let broker = Mosquitto::start();
    // a stop that waited for the streams would take that long
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 60", broker.port());
    let mut daemon = Daemon::connected_with(&config);
    let mut listeners: Vec<Listener> = (0..20).map(|n| Listener::open(&daemon, &format!("{}/#", n % 4))).collect();
    daemon.signal("TERM");
    let begun = Instant::now();
    listeners.iter_mut().for_each(Listener::assert_ended);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(daemon.lines_with("get no answer").is_empty(), "{:?}", daemon.lines());
}

#[test]
fn a_stop_ends_streams_without_a_broker() {
    let mut broker = Mosquitto::start();
    let mut daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "a");
    broker.kill();
    daemon.wait_for("lost: ");
    daemon.signal("TERM");
    listener.assert_ended();
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn head_of_a_stream_takes_no_listener_quota() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nmax-listeners = 1", broker.port()));
    for _ in 0..3 {
        let mut connection = daemon.connect();
        connection.send(head("HEAD", &target("a"), "1.1", &[]).as_bytes());
        let reply = connection.reply_to_head();
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")), "{reply:?}");
        if reply.header("connection") == Some("close") {
            connection.assert_ended();
        } else {
            connection.get("/healthz").assert_published();
        }
    }
    await_figure(daemon.address(), "mqtt_bridge_listeners", "0");
    let _listener = Listener::open(&daemon, "a");
    await_figure(daemon.address(), "mqtt_bridge_listeners", "1");
}

#[test]
fn two_hundred_vanished_listeners_leak_nothing() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    drop(Listener::open(&daemon, "v/#"));
    drop(daemon.served_connection());
    await_figure(daemon.address(), "mqtt_bridge_listeners", "0");
    let before = daemon.resources();
    for round in 0..3 {
        let mut listeners: Vec<Listener> = (0..200).map(|_| Listener::open(&daemon, "v/#")).collect();
        await_figure(daemon.address(), "mqtt_bridge_listeners", "200");
        broker.publish(&["-t", "v/x", "-m", "x"]);
        assert!(listeners.iter_mut().all(|listener| listener.message()["payload"] == "x"), "{round}");
        for (n, listener) in listeners.iter().enumerate() {
            // every other one with a reset, like a client that crashed
            let linger = (n % 2 == 0).then_some(Duration::ZERO);
            SockRef::from(listener.connection().socket()).set_linger(linger).unwrap();
        }
        drop(listeners);
        await_figure(daemon.address(), "mqtt_bridge_listeners", "0");
        daemon.publish(r#"{"topic":"v/x","msg":"x"}"#).assert_published();
    }
    before.await_return(daemon.id(), 0);
    assert_eq!(daemon.lines_with("panicked").len(), 0);
}

#[test]
fn a_closed_stream_does_not_affect_a_client_from_the_same_port() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let from: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    // the port is free when both ends have closed
    let try_connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect(&daemon.address().parse::<SocketAddr>().unwrap().into()).map(|()| Connection::of(socket.into()))
    };
    let connect = || eventually("a connection from this port", try_connect, Result::is_ok).unwrap();
    for linger in [None, Some(Duration::ZERO), None] {
        let mut listener = Listener::on(connect(), &head("GET", &target("a"), "1.1", &[])).expect("a stream");
        // unread bytes would turn the close into a reset
        assert_eq!(listener.item_within(PATIENCE), Some(Item::Comment));
        SockRef::from(listener.connection().socket()).set_linger(linger).unwrap();
        drop(listener);
        let mut next = connect();
        next.get("/healthz").assert_published();
        SockRef::from(next.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_thousand_listeners_are_one_subscription_and_take_under_60_mb() {
    const COUNT: usize = 1000;
    // a build without optimization takes 13 MB more
    const BYTES: usize = if cfg!(debug_assertions) { 73_000_000 } else { 60_000_000 };
    // for the connections of this process, and of the daemon, which inherits the limit
    limit(std::process::id(), "nofile=8192:");
    let broker = Mosquitto::start();
    let limits = format!("max-listeners = {COUNT}\nmax-connections = {}", COUNT + 50);
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\n{limits}", broker.port()));
    let mut listeners: Vec<Listener> = (0..COUNT).map(|_| Listener::open(&daemon, "many/#")).collect();
    await_figure(daemon.address(), "mqtt_bridge_listeners", "1000");
    let payload = json!("x".repeat(100));
    broker.publish(&["-t", "many/x", "-m", payload.as_str().unwrap()]);
    for (n, listener) in listeners.iter_mut().enumerate() {
        assert_eq!(listener.message()["payload"], payload, "listener {n}");
    }
    let resources = daemon.resources();
    assert!(resources.resident_kib * 1024 < BYTES, "{resources:?}");
    let filters = broker.log_with(" (QoS 0)");
    assert!(!filters.is_empty() && filters.iter().all(|line| line.ends_with("\tmany/# (QoS 0)")), "{filters:?}");
    assert_eq!(broker.log_with("Sending PUBLISH to mqtt-bridge-").len(), 1);
    daemon.publish(r#"{"topic":"many/x","msg":"end","qos":1}"#);
    for listener in listeners.iter_mut().rev() {
        assert_eq!(listener.message()["payload"], "end");
    }
}
