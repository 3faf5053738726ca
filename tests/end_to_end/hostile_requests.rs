//! Requests that are too large, endless or not HTTP: each is ended without harm to other clients.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::connection_limits::{GET, assert_harmless, assert_last, open, strict, with};
use crate::support::PATIENCE;
use crate::support::background_client::BackgroundClient;
use crate::support::daemon::Daemon;
use crate::support::http::Connection;
use crate::support::http_setup::MAX_PEAK_KIB;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{post, raw};

#[test]
fn a_flood_after_chunks_is_not_buffered() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    broker.signal("STOP");
    let mut connection = daemon.connect();
    connection.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let body = r#"{"topic":"t","msg":"x","qos":1}"#;
    connection.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    let many = GET.repeat(1000);
    connection.socket().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) && connection.try_send(&many) {}
    broker.signal("CONT");
    // the connection is ended for the flood, with or without its reply
    let said = connection.rest();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&said));
    let peak = daemon.resources().peak_kib;
    assert!(peak < MAX_PEAK_KIB, "{peak} KiB");
}

#[test]
fn unfinished_bodies_share_a_memory_limit_and_the_oldest_are_refused_first() {
    let (daemon, _) = with("max-body = 40000000");
    // two bodies fill the memory limit, and the third one evicts the oldest
    let announced = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000000\r\n\r\n";
    let large = vec![b' '; 30_000_000];
    let mut bodies: Vec<Connection> = Vec::new();
    for _ in 0..3 {
        let mut connection = daemon.served_connection();
        connection.send(announced);
        connection.send(&large);
        bodies.push(connection);
    }
    assert_last(&mut bodies[0], 503, 15);
    bodies[2].send(&vec![b' '; 10_000_000]);
    assert_eq!(bodies[2].reply().status, 400, "it is complete, if not JSON");
}

#[test]
fn too_large_bodies_are_refused_before_they_arrive() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let head = |length: &str| raw("POST /publish", &format!("Content-Length: {length}\r\n"), "");
    let mut waiting = daemon.connect();
    waiting.send(head("2000000").as_bytes());
    assert_eq!(waiting.reply().status, 413, "not a byte of the body was sent");
    let mut expecting = daemon.connect();
    expecting.send(head("2000000\r\nExpect: 100-continue").as_bytes());
    assert_last(&mut expecting, 413, 9);
    let mut sending = daemon.connect();
    sending.send(head("20000000").as_bytes());
    for _ in 0..100 {
        sending.try_send(&[b' '; 16_000]);
    }
    assert_last(&mut sending, 413, 9);
    drop(waiting);
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn a_giant_content_length_leaks_one_thread_only() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let giants = ["100000000000000", "1000000000000000", "18446744073709551615", "99999999999999999999999"];
    for length in giants {
        for request in ["POST /publish", "GET /nothing"] {
            let mut connection = daemon.connect();
            connection.send(raw(request, &format!("Content-Length: {length}\r\n"), "").as_bytes());
            assert_eq!(connection.reply().header("connection"), Some("close"));
            assert_eq!(connection.rest(), b"");
        }
    }
    // leaked connections are released after their clients have read the reply
    for _ in 0..300 {
        drop(daemon.served_connection());
    }
    // the last one is not a number to tiny_http
    assert_harmless(&daemon, background, before, 2 * (giants.len() - 1));
}

#[test]
fn an_http_2_preface_is_ended_and_leaks_one_thread() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let mut prefaces = open(&daemon, 5, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    prefaces.extend(open(&daemon, 5, b"GET / HTTP/3.0\r\n\r\n"));
    for connection in &mut prefaces {
        assert_last(connection, 408, 3);
    }
    assert_harmless(&daemon, background, before, 10);
}

#[test]
fn threads_leaked_by_resets_are_counted() {
    let (mut daemon, _) = strict();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let deadline = Instant::now() + 2 * PATIENCE;
    // about as long as tiny_http needs to read it, so that no other thread sees the connection; the exact time is
    // unknown
    for microseconds in [100, 200, 300, 500, 1000, 3000].into_iter().cycle() {
        let Ok(socket) = TcpStream::connect(daemon.address()) else { break };
        assert!(Instant::now() < deadline, "nothing is left behind, or it is not counted");
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop((&socket).write(preface));
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(microseconds) {
            thread::yield_now();
        }
    }
    assert_eq!(daemon.wait_for_end().code(), Some(1));
    daemon.wait_for(" threads of connections cannot be freed");
}

#[test]
fn an_endless_head_is_cut_off() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    for piece in [[b'a'; 4096].as_slice(), b"A: b\r\n".repeat(700).as_slice()] {
        let mut connection = daemon.connect();
        // a connection that is closed with a full window accepts no more bytes, without an error
        connection.socket().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        connection.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: ");
        let mut sent = 0;
        while sent < 200_000_000 && connection.try_send(piece) {
            sent += piece.len();
        }
        assert!(sent < 200_000_000, "all of it was taken");
        let said = connection.rest();
        // a reset may overtake the reply
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&said));
    }
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn endless_pipelining_is_cut_off() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let mut connection = daemon.connect();
    let start = Instant::now();
    while connection.try_send(&GET.repeat(1000)) {
        assert!(start.elapsed() < PATIENCE, "the connection is ended");
    }
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn sixteen_pipelined_requests_are_answered_in_order() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut connection = daemon.served_connection();
    let body = |n: usize| format!(r#"{{"topic":"t","msg":{n},"qos":{}}}"#, n % 2);
    connection.send(&(0..17).flat_map(|n| post("/publish", body(n))).collect::<Vec<u8>>());
    for n in 0..17 {
        let reply = connection.reply();
        assert_eq!((reply.status, reply.json()["packet_id"].is_u64()), (200, n % 2 == 1), "{n}: {reply:?}");
    }
}

#[test]
fn a_client_that_does_not_read_its_replies_is_disconnected() {
    let (daemon, before) = with("");
    let background = BackgroundClient::start(&daemon);
    let mut connection = Connection::with_receive_buffer(daemon.address(), 4096);
    let start = Instant::now();
    while connection.is_established() {
        connection.try_send(&GET.repeat(16));
        connection.await_read();
        assert!(start.elapsed() < 3 * PATIENCE, "the connection is ended");
    }
    drop(connection);
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn a_request_sent_before_half_closing_is_answered() {
    let (daemon, before) = strict();
    let mut connection = daemon.connect();
    connection.send(GET);
    connection.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.reply().status, 404);
    assert_eq!(connection.rest(), b"");
    before.await_return(daemon.id(), 0);
}

#[test]
fn at_200_leaked_connections_the_daemon_finishes_requests_and_exits_1() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 0.5", broker.port());
    let mut daemon = Daemon::connected_with(&config);
    // leaks of both kinds
    let prefaces = open(&daemon, 110, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let giant = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000000\r\n\r\n";
    let giants = open(&daemon, 110, giant);
    daemon.wait_for("a restart is needed: ");
    assert_eq!(daemon.wait_for_end().code(), Some(1));
    let last = daemon.lines().last().unwrap().clone();
    assert!(last.ends_with(" threads of connections cannot be freed"), "{last}");
    assert!(last.starts_with("mqtt-bridge: 2"), "{last}");
    broker.wait_for("Received DISCONNECT from mqtt-bridge-");
    drop((prefaces, giants));
}
