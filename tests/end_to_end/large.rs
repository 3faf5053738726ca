//! Large replies, large events, and bodies where none is allowed.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::http::Connection;
use crate::support::mosquitto::Mosquitto;
use crate::support::waiting::pause;
use crate::support::{PATIENCE, free_port};

#[test]
fn a_request_for_a_stream_must_have_no_body() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    for (length, body) in [
        ("Content-Length: 5", "hello"),
        ("Content-Length: 2000", ""),
        ("Content-Length: 999999999999", ""),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
    ] {
        let mut connection = daemon.connect();
        connection
            .send(format!("GET /messages?topic=a HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n{body}").as_bytes());
        connection.reply().assert_refused(400, 3, "a request that reads messages must have no body");
        daemon.publish(r#"{"topic":"a","msg":"x"}"#).assert_published();
    }
}

#[test]
fn a_slow_client_gets_a_long_reply() {
    // the length of the reply is that of the filters
    let filter = |n: usize| format!("{n}/{}", "x".repeat(3000));
    let tables = (0..300).map(|n| format!("\n[[subscribe]]\ntopic = \"{}\"", filter(n))).collect::<Vec<_>>().concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}{tables}", free_port()));
    let mut connection = Connection::with_receive_buffer(daemon.address(), 4096);
    connection.send(b"GET /subscriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut socket = connection.socket();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match socket.read(&mut piece).unwrap() {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
        // slower than the daemon writes at once
        pause(Duration::from_millis(2));
    }
    let start = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let listed: Value = serde_json::from_slice(&answer[start..]).expect("all of it");
    assert_eq!(listed["subscriptions"].as_array().unwrap().len(), 300);
    assert_eq!(listed["subscriptions"][299]["topic"], filter(299));
}

#[test]
fn stalled_listeners_share_a_long_event() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let listeners: Vec<Listener> = (0..50).map(|_| Listener::with_small_buffer(&daemon, "long")).collect();
    let mut reader = Listener::open(&daemon, "long");
    let before = daemon.resources().resident_kib;
    // each of these bytes becomes six characters in JSON
    let reply = daemon.connect().request("POST", "/topics/long", &[], &vec![1; 900_000]);
    assert_eq!(reply.status, 200);
    assert_eq!(reader.message()["payload"].as_str().unwrap().len(), 900_000);
    let grown = daemon.resources().resident_kib.saturating_sub(before);
    // one shared copy, and the buffer of each listener
    assert!(grown < 60 * 1024, "{grown} KiB more");
    drop(listeners);
}
