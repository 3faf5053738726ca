//! Transferred bytes count as a sign of life: a message that takes longer than the keep alive arrives, in either
//! direction.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::proxy::Proxy;
use crate::support::scripted_broker::{
    CONNECT, PINGREQ, PUBACK, PUBLISH, Packet, ScriptedBroker, acknowledgement, behave,
};
use crate::support::tls_broker::TlsBroker;

const PROTOCOLS: [&str; 2] = ["5", "3.1.1"];
/// The longest time that a slow transfer takes here.
const LONGEST: Duration = Duration::from_secs(120);

/// A long message and a short one, over a link on which the PINGRESP waits behind both.
fn assert_arrives(broker: &Mosquitto, port: u16, protocol: &str, tls: &str) {
    let proxy = Proxy::slow(port, 20_000);
    let daemon = Daemon::with(&format!(
        "[mqtt]\nserver = \"localhost\"\nport = {}\nprotocol = \"{protocol}\"\nkeepalive = 5\nclient-id = \"{port}-{protocol}\"\n{tls}\n\
         [[subscribe]]\ntopic = \"{port}/{protocol}\"\nqos = 1",
        proxy.port()
    ));
    daemon.wait_for("subscribed to");
    let (folder, topic) = (Folder::new(), format!("{port}/{protocol}"));
    let file = folder.write("long", &"x".repeat(280_000));
    broker.publish(&["-t", &topic, "-q", "1", "-f", file.to_str().unwrap()]);
    broker.publish(&["-t", &topic, "-q", "1", "-m", "short"]);
    let start = Instant::now();
    daemon.wait_for_within(LONGEST, "with payload: short");
    assert!(start.elapsed() > Duration::from_secs(11), "longer than two keep alives: {:?}", start.elapsed());
    assert_eq!(daemon.lines_with("of 280000 bytes)").len(), 1, "{:?}", daemon.lines());
    assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
}

#[test]
fn a_message_slower_than_two_keep_alives_is_received() {
    let plain = Mosquitto::start();
    let authority = Authority::new();
    let behind_tls = TlsBroker::start(&authority.issue("broker"));
    let tls = format!("[mqtt.tls]\nenabled = true\n{}", authority.trusted());
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            let (plain, behind_tls, tls) = (&plain, &behind_tls, &tls);
            scope.spawn(move || assert_arrives(plain, plain.port(), protocol, ""));
            scope.spawn(move || assert_arrives(&behind_tls.mosquitto, behind_tls.port, protocol, tls));
        }
    });
}

#[test]
fn an_acknowledgement_behind_a_long_message_is_received() {
    let broker = Mosquitto::start();
    thread::scope(|scope| {
        for (protocol, keepalive) in [("5", 60), ("5", 5), ("3.1.1", 60), ("3.1.1", 5)] {
            let broker = &broker;
            scope.spawn(move || {
                let (proxy, topic) = (Proxy::slow(broker.port(), 20_000), format!("{protocol}/{keepalive}"));
                let daemon = Daemon::with(&format!(
                    "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nkeepalive = {keepalive}\nclient-id = \"{topic}\"\n\
                     [[subscribe]]\ntopic = \"{topic}\"\nqos = 1",
                    proxy.port()
                ));
                daemon.wait_for("subscribed to");
                let folder = Folder::new();
                let file = folder.write("long", &"x".repeat(680_000));
                broker.publish(&["-t", &topic, "-q", "1", "-f", file.to_str().unwrap()]);
                let mut connection = daemon.connect();
                connection.set_patience(LONGEST);
                let start = Instant::now();
                let reply = connection.post("/publish", br#"{"topic": "t", "msg": "x", "qos": 1, "timeout": 60}"#);
                assert_eq!(reply.status, 200, "after {:?}: {reply:?} {:?}", start.elapsed(), daemon.lines());
                assert!(start.elapsed() > Duration::from_secs(30), "{:?}", start.elapsed());
                assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
            });
        }
    });
}

/// A broker that reads this many bytes per second, and acknowledges the PUBLISH when it is complete.
fn slow_broker(protocol: &'static str, rate: usize) -> ScriptedBroker {
    ScriptedBroker::slow(rate, move |_, packet: &Packet| {
        Some(match packet.kind {
            CONNECT if protocol == "3.1.1" => vec![0x20, 2, 0, 0],
            PUBLISH => acknowledgement(PUBACK, packet.identifier()),
            _ => behave(packet, &[]),
        })
    })
}

/// Publishes this many bytes, which are acknowledged on the first connection.
fn assert_published(protocol: &'static str, size: usize, rate: usize) {
    let broker = slow_broker(protocol, rate);
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nkeepalive = 5\nmax-packet-size = 20000000\n\
         [publish]\ntimeout = 110\nmax-timeout = 110\n[http]\nmax-body = 20000000",
        broker.port()
    ));
    let start = Instant::now();
    let mut connection = daemon.connect();
    connection.set_patience(LONGEST);
    let reply = connection.post("/topics/t?qos=1", &vec![b'x'; size]);
    assert_eq!(reply.status, 200, "after {:?}: {reply:?} {:?}", start.elapsed(), daemon.lines());
    assert!(start.elapsed() > Duration::from_secs(11), "longer than two keep alives: {:?}", start.elapsed());
    assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
    assert_eq!(daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1}"#).status, 200);
}

#[test]
fn a_publish_slower_than_two_keep_alives_is_acknowledged() {
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            // fits into the socket buffers, with PINGREQs behind it
            scope.spawn(move || assert_published(protocol, 1_000_000, 25_000));
            // more than the socket buffers take
            scope.spawn(move || assert_published(protocol, 16_000_000, 600_000));
        }
    });
}

#[test]
fn a_broker_that_stops_in_the_middle_of_a_message_is_noticed() {
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            scope.spawn(move || {
                let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
                    CONNECT if protocol == "3.1.1" => Some(vec![0x20, 2, 0, 0]),
                    PINGREQ => Some(Vec::new()),
                    _ => Some(behave(packet, &[])),
                });
                let daemon = Daemon::connected_with(&format!(
                    "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nkeepalive = 5",
                    broker.port()
                ));
                let start = Instant::now();
                broker.send(&[0x30, 0xff, 0x7f, 0, 1, b't', 0]);
                daemon.wait_for("lost: no answer to a PINGREQ within the keep alive time");
                assert!(start.elapsed() < Duration::from_secs(17), "{:?}", start.elapsed());
            });
        }
    });
}
