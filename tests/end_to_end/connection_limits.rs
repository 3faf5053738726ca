//! Slow, idle and too many connections: what happens to them, whether other clients notice, and what is leaked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::background_client::BackgroundClient;
use crate::support::daemon::{Daemon, clean, program};
use crate::support::http::{Connection, Reply};
use crate::support::http_setup::MAX_PEAK_KIB;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{post, raw};
use crate::support::resources::Resources;
use crate::support::stalls::Stalls;
use crate::support::waiting::{eventually, pause};
use crate::support::{PATIENCE, free_port};

pub const GET: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A daemon with short timeouts.
pub fn strict() -> (Daemon, Resources) {
    with("idle-timeout = 1\nrequest-timeout = 1")
}

pub fn with(keys: &str) -> (Daemon, Resources) {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[http]\n{keys}", free_port()));
    daemon.wait_for("cannot connect");
    drop(daemon.served_connection());
    let resources = daemon.resources();
    (daemon, resources)
}

/// No other client noticed, and only `leaks` connections are left.
#[track_caller]
pub fn assert_harmless(daemon: &Daemon, background: BackgroundClient, before: Resources, leaks: usize) {
    background.assert_undisturbed();
    before.await_return(daemon.id(), leaks);
    let peak = daemon.resources().peak_kib;
    assert!(peak < MAX_PEAK_KIB, "{peak} KiB");
    // faults in threads of tiny_http are not logged as errors
    assert_eq!(daemon.lines_with("error:").len() + daemon.lines_with("panicked").len(), 0);
}

/// The last reply on a connection, which is closed after it.
#[track_caller]
pub fn assert_last(connection: &mut Connection, status: u16, code: u64) -> Reply {
    let reply = connection.reply();
    assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(connection.rest(), b"", "the connection ends");
    reply
}

pub fn open(daemon: &Daemon, count: usize, bytes: &[u8]) -> Vec<Connection> {
    let mut connections: Vec<Connection> = (0..count).map(|_| daemon.connect()).collect();
    for connection in &mut connections {
        connection.send(bytes);
    }
    connections
}

#[test]
fn every_connection_of_a_burst_is_answered_repeatedly() {
    let (daemon, before) = with("");
    for count in [8, 32, 128, 512] {
        let (start, stalls) = (Instant::now(), Stalls::start());
        let mut burst = open(&daemon, count, GET);
        let mut first_answers = None;
        for _ in 0..3 {
            for connection in &mut burst {
                assert_eq!(connection.reply().status, 404);
            }
            first_answers.get_or_insert_with(|| start.elapsed());
            for connection in &mut burst {
                connection.send(GET);
            }
        }
        let stalled = stalls.longest();
        // far less on an idle machine, see bench/connections.py
        let is_soon = first_answers.is_some_and(|took| took < Duration::from_secs(1) + stalled);
        assert!(is_soon, "{count}: {first_answers:?}; the machine stalled for {stalled:?}");
    }
    before.await_return(daemon.id(), 0);
    assert!(daemon.resources().peak_kib < MAX_PEAK_KIB);
}

#[test]
fn unfinished_heads_get_408() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let mut silent = open(&daemon, 300, b"POST /publish HTTP/1.1\r\nHost: local");
    let mut dripping = daemon.connect();
    let start = Instant::now();
    while dripping.try_send(b"G") {
        pause(Duration::from_millis(20));
        assert!(start.elapsed() < PATIENCE, "a head that drips is ended too");
    }
    for connection in &mut silent {
        assert_last(connection, 408, 3);
    }
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn idle_connections_are_closed_without_a_reply() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let mut silent = open(&daemon, 100, b"");
    let mut used = open(&daemon, 100, GET);
    for connection in &mut used {
        assert_eq!(connection.reply().status, 404);
    }
    for connection in silent.iter_mut().chain(&mut used) {
        assert_eq!(connection.rest(), b"");
    }
    assert_harmless(&daemon, background, before, 0);
}

/// The number of a processor that this process may use.
fn a_processor() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let (_, list) = status.split_once("Cpus_allowed_list:").unwrap();
    list.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().to_owned()
}

#[test]
fn a_request_behind_silent_connections_gets_a_thread() {
    // on one processor without preemption at wake-up, tiny_http accepts a burst before any thread of its pool takes a
    // connection
    let daemon = Daemon::run(&format!("[mqtt]\nport = {}", free_port()), |config| {
        let mut command = clean(Command::new("chrt"));
        command.args(["--batch", "0", "taskset", "--cpu-list", &a_processor()]).arg(program().get_program());
        command.arg("--config").arg(config);
        command
    });
    for round in 0..5 {
        daemon.signal("STOP");
        let silent = open(&daemon, 100, b"");
        let mut last = daemon.connect();
        last.send(GET);
        daemon.signal("CONT");
        assert_eq!(last.reply().status, 404, "{round}");
        drop(silent);
    }
}

#[test]
fn above_max_connections_the_longest_idle_are_evicted() {
    let (daemon, _) = with("max-connections = 20");
    let mut connections: Vec<Connection> = (0..20).map(|_| daemon.served_connection()).collect();
    // the idle time begins when a worker has finished a request, which may be after the client has its reply
    for _ in 0..10 {
        for connection in &mut connections[15..] {
            connection.send(GET);
            assert_eq!(connection.reply().status, 404);
        }
    }
    let newest = open(&daemon, 15, b"");
    for connection in &mut connections[..15] {
        assert_eq!(connection.rest(), b"", "the longest idle");
    }
    for connection in connections[15..].iter_mut().chain(&mut { newest }) {
        connection.send(GET);
        assert_eq!(connection.reply().status, 404, "the others");
    }
}

#[test]
fn every_idle_connection_of_a_burst_is_closed() {
    let (daemon, before) = strict();
    for _ in 0..4 {
        // the descriptor table has 64 entries at first, and grows; connections near its old end are closed at once
        let mut burst = open(&daemon, 60, b"");
        drop(burst.drain(15..30));
        for connection in &mut burst {
            assert_eq!(connection.rest(), b"");
        }
    }
    before.await_return(daemon.id(), 0);
}

#[test]
fn max_connections_holds_for_unfinished_bodies() {
    let (daemon, before) = with("max-connections = 50");
    let head = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n{";
    let slow: Vec<Connection> = (0..300).flat_map(|_| open(&daemon, 1, head)).collect();
    // refused connections may stay open until the client has read the reply
    let most = before.descriptors + 2 * 60;
    eventually("few connections are left", || daemon.resources().descriptors, |open| *open <= most);
    let background = BackgroundClient::start(&daemon);
    let mut refused = 0;
    for connection in slow {
        connection.set_patience(Duration::from_millis(1));
        let mut said = [0; 12];
        refused += usize::from(connection.socket().read(&mut said).is_ok() && &said == b"HTTP/1.1 503");
    }
    assert!(refused > 100, "{refused} were told");
    assert_eq!(daemon.lines_with("cannot accept").len(), 0);
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn a_new_connection_without_a_request_yet_is_not_evicted_first() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\n[http]\nmax-connections = 50", broker.port());
    let daemon = Daemon::connected_with(&config);
    let head = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{";
    let mut slow = open(&daemon, 70, head);
    for _ in 0..10 {
        let mut valid = daemon.connect();
        pause(Duration::from_millis(100));
        let body = format!("{:<3000}", r#"{"topic":"t","msg":"x"}"#);
        valid.post("/publish", body.as_bytes()).assert_published();
        // new connections replace the evicted ones
        slow.extend(open(&daemon, 5, head));
    }
}

#[test]
fn a_client_that_reuses_a_port_gets_its_own_reply() {
    let broker = Mosquitto::start();
    // longer than the new client waits
    let limits = "[publish]\nmax-timeout = 60\n[http]\nrequest-timeout = 20";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{limits}", broker.port()));
    let from: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        // with a reset, which frees the address at once
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect(&daemon.address().parse::<SocketAddr>().unwrap().into()).unwrap();
        Connection::of(socket.into())
    };
    let waiting = post("/publish", r#"{"topic":"t","msg":"x","qos":1,"timeout":60}"#);
    let unfinished = raw("POST /publish", "Content-Length: 5000\r\n", "{").into_bytes();
    let refused = raw("POST /publish", "Content-Length: 5000000\r\n", "{").into_bytes();
    broker.signal("STOP");
    for first in [waiting, unfinished, refused] {
        for milliseconds in [0, 5, 100, 100, 100] {
            let mut gone = connect();
            gone.send(&first);
            pause(Duration::from_millis(milliseconds));
            drop(gone);
            let mut newcomer = connect();
            newcomer.send(GET);
            assert_eq!(newcomer.reply().status, 404, "{milliseconds} ms behind {}", String::from_utf8_lossy(&first));
        }
    }
    broker.signal("CONT");
}

#[test]
fn a_head_begun_after_an_answered_request_gets_408() {
    let (daemon, _) = with("idle-timeout = 3\nrequest-timeout = 0.5");
    let mut connection = daemon.connect();
    for _ in 0..2 {
        connection.send(&[GET, b"GET /nothing HTTP/1.1\r\nHost: loc"].concat());
        assert_eq!(connection.reply().status, 404);
        connection.send(b"alhost\r\n\r\n");
        assert_eq!(connection.reply().status, 404);
    }
    connection.send(&[GET, b"GET /nothing HTTP/1.1\r\nHost: loc"].concat());
    assert_eq!(connection.reply().status, 404);
    assert_last(&mut connection, 408, 3);
}

#[test]
fn white_space_around_headers_does_not_start_another_request() {
    let (daemon, _) = with("idle-timeout = 2\nrequest-timeout = 0.5");
    let mut connection = daemon.connect();
    let start = Instant::now();
    for _ in 0..3 {
        connection.send(b"GET /nothing HTTP/1.1\r\nHost:   localhost  \r\nAccept:\t */*\r\n\r\n");
        assert_eq!(connection.reply().status, 404);
    }
    assert_eq!(connection.rest(), b"", "it ends for being idle, without words");
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn reset_connections_are_not_logged() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    for number in 0..1000 {
        let socket = TcpStream::connect(daemon.address()).unwrap();
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop((&socket).write(&GET[..number % GET.len()]));
    }
    assert_harmless(&daemon, background, before, 0);
}

#[test]
fn bodies_that_do_not_arrive_delay_no_other_client() {
    let (daemon, before) = strict();
    let background = BackgroundClient::start(&daemon);
    let head = |framing: &str| raw("POST /publish", &format!("{framing}\r\n"), "");
    let mut stalled = Vec::new();
    for (framing, begin) in [
        ("Content-Length: 500", "{"),
        ("Content-Length: 50000", "{"),
        ("Content-Length: 50000", &" ".repeat(40_000)),
        ("Transfer-Encoding: chunked", "1\r\n{\r\n"),
        ("Transfer-Encoding: chunked", "5"),
        ("Expect: 100-continue\r\nContent-Length: 50", ""),
        ("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 50", "{"),
    ] {
        for _ in 0..8 {
            let mut connection = daemon.connect();
            connection.send(&[head(framing).as_bytes(), begin.as_bytes()].concat());
            stalled.push((framing, connection));
        }
    }
    let mut dripping = daemon.connect();
    dripping.send(head("Content-Length: 50000").as_bytes());
    let start = Instant::now();
    while dripping.try_send(b" ") {
        pause(Duration::from_millis(20));
        assert!(start.elapsed() < PATIENCE, "a body that drips is ended too");
    }
    for (framing, connection) in &mut stalled {
        if framing.contains("Expect") {
            assert_eq!(connection.reply().status, 100);
        }
        assert_last(connection, 408, 3);
    }
    assert_harmless(&daemon, background, before, 0);
}
