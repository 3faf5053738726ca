//! What is logged and replied when the port is not a broker's, or the broker does something unusual.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::certificates::Authority;
use crate::support::daemon::Daemon;
use crate::support::metrics::await_figure;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, PUBREC, SUBSCRIBE, ScriptedBroker, answer_filters, behave, connack, publish,
};

/// A server that reads the first bytes of each connection, sends this answer, and closes the connection.
fn foreign_server(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |mut stream: TcpStream| {
        if stream.read(&mut [0; 1024]).is_ok() {
            let _ = stream.write_all(answer);
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

#[test]
fn the_log_says_that_the_port_speaks_http() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for protocol in ["5", "3.1.1"] {
        let port = foreign_server(answer);
        let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\nprotocol = \"{protocol}\"\nreconnect-max = 0.02"));
        let told = daemon.wait_for("cannot connect to ");
        assert!(told.contains("; what answers there speaks HTTP: this is the port of something else"), "{told}");
        // the answer is not MQTT
        assert!(told.ends_with("; trying again"), "{told}");
    }
}

#[test]
fn the_log_says_that_the_port_speaks_tls() {
    let authority = Authority::new();
    let issued = authority.issue("broker");
    let (key, certificate) = (issued.key.display(), issued.certificate.display());
    let broker = Mosquitto::on_port(
        crate::support::free_port(),
        &format!("allow_anonymous true\ncertfile {certificate}\nkeyfile {key}"),
    );
    for protocol in ["5", "3.1.1"] {
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"", broker.port()));
        let told = daemon.wait_for("cannot connect to ");
        assert!(told.contains("; what answers there speaks TLS: set `enabled = true` in [mqtt.tls]"), "{told}");
    }
}

#[test]
fn the_reply_says_that_the_suback_is_missing() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        SUBSCRIBE => Some(Vec::new()),
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"a\"", broker.port()));
    broker.wait_for(SUBSCRIBE);
    let reply = daemon.publish(r#"{"topic":"t","msg":"x","qos":1,"timeout":0.2}"#);
    let words = "not sent: there is a connection to the broker, which did not answer our SUBSCRIBE within the timeout";
    reply.assert_refused(503, 4, words);
}

#[test]
fn a_reason_string_is_in_the_reply_and_the_log() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        PUBLISH => {
            let [high, low] = packet.identifier();
            let kind = if packet.qos() == 1 { PUBACK } else { PUBREC };
            // a reason code, and a reason string with a line end
            let properties = [&[0x1f, 0, 9][..], b"no\nbudget"].concat();
            let length = u8::try_from(properties.len()).unwrap();
            Some([&[kind, 4 + length, high, low, 151, length], properties.as_slice()].concat())
        }
        // the same for a filter, after the packet identifier
        SUBSCRIBE => Some([&[0x90, 9, packet.body[0], packet.body[1], 5, 0x1f, 0, 2], &b"no"[..], &[135]].concat()),
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::connected_with(&format!(
        "[[subscribe]]\ntopic = \"a\"\n[log]\nlevel = \"debug\"\n[mqtt]\nport = {}",
        broker.port()
    ));
    daemon.wait_for("subscription to a refused: not authorized (reason code 135): no");
    for (number, qos) in [(1, 1), (2, 2)] {
        let reply = daemon.publish(&format!(r#"{{"topic":"t","msg":"x","qos":{qos}}}"#));
        reply.assert_refused(502, 13, "refused by the broker: quota exceeded (reason code 151): no\\nbudget");
        daemon.wait_for_nth(number, ": quota exceeded (reason code 151): no\\nbudget");
    }
}

#[test]
fn unexpected_packets_are_dropped_counted_and_logged_once() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        CONNECT => Some(connack(0, &[])),
        SUBSCRIBE => Some(answer_filters(packet, |_| None)),
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"a/#\"", broker.port()));
    daemon.wait_for("subscribed to a/#");
    // a subscription identifier that the daemon did not assign
    let unknown = [0x0b, 0x7f];
    for _ in 0..2 {
        for packet in [
            publish("a/+", "wildcard", &[]),
            publish("b", "unasked", &[]),
            publish("a/b", "unknown", &unknown),
            vec![0x90, 4, 0x12, 0x34, 0, 0],
        ] {
            broker.send(&packet);
        }
    }
    broker.send(&publish("a/b", "end", &[]));
    daemon.wait_for("Received message on topic: a/b with payload: end");
    for (kind, words) in [
        ("wildcard_topic", "a message on a/+, which is no topic name, as it has a wildcard in it"),
        ("unasked_topic", "a message on b, which no topic filter of ours matches"),
        ("unknown_subscription_identifier", "a message on a/b, for a subscription that we do not have"),
        ("unknown_packet_identifier", "with packet identifier 4660, which waits for no such answer"),
    ] {
        await_figure(daemon.address(), &format!("mqtt_bridge_stray_packets_total{{kind=\"{kind}\"}}"), "2");
        assert_eq!(daemon.lines_with(words).len(), 1, "{words}: {:?}", daemon.lines());
    }
    assert_eq!(daemon.lines_with("Received message").len(), 1, "{:?}", daemon.lines());
}

#[test]
fn the_log_says_how_long_an_outage_was() {
    let mut broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    broker.kill();
    daemon.wait_for("lost: ");
    broker.restart();
    let line = daemon.wait_for(" s without a connection");
    let seconds = line.rsplit_once("after ").unwrap().1.split(' ').next().unwrap();
    assert!(line.contains("connected to 127.0.0.1:") && seconds.parse::<f64>().is_ok(), "{line}");
    assert!(!daemon.wait_for("connected to").contains("without"));
}
