//! All attacks at once for a minute: no valid request fails or waits.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::sockets::pass;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::limits::limit;
use crate::support::mosquitto::Mosquitto;
use crate::support::stalls::Stalls;
use crate::support::waiting::{eventually, pause};

const SOAK: Duration = Duration::from_secs(60);
/// The longest time of a valid request, apart from stalls of the machine.
const LONGEST: Duration = Duration::from_secs(1);
const CLIENTS: usize = 16;
const BODY: &[u8] = br#"{"topic":"valid","msg":"x","qos":1}"#;
/// How many connections each of the two leaking attacks may use; the daemon restarts at 200 leaks.
const LEAKS: u32 = 60;

type Attack = fn(&str);

/// Each opens connections, misbehaves, and closes them.
const ATTACKS: [Attack; 9] = [
    |address| hold(address, 50, b"POST /publish HTTP/1.1\r\nHost: local"),
    |address| hold(address, 50, b""),
    |address| hold(address, 8, b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n{"),
    |address| hold(address, 8, b"POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5"),
    |address| hold(address, 8, b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n{"),
    |address| {
        hold(
            address,
            8,
            b"POST /publish HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nGET",
        );
    },
    |address| flood(address, b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    |address| flood(address, b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
    reset,
];

/// Sends these bytes on this many connections, and waits until the daemon ends the first of them.
fn hold(address: &str, count: usize, bytes: &[u8]) {
    let mut held: Vec<Connection> = (0..count).filter_map(|_| Connection::try_open(address)).collect();
    for connection in &mut held {
        connection.try_send(bytes);
    }
    if let Some(first) = held.first_mut() {
        first.set_patience(Duration::from_secs(3));
        first.try_rest();
    }
}

/// Sends these bytes repeatedly without reading, until the daemon ends the connection.
fn flood(address: &str, bytes: &[u8]) {
    let Some(mut connection) = Connection::try_open(address) else { return };
    connection.socket().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    if !bytes.starts_with(b"GET") {
        connection.try_send(b"GET /nothing HTTP/1.1\r\n");
    }
    let many = bytes.repeat(100);
    for _ in 0..10_000 {
        if !connection.try_send(&many) {
            return;
        }
    }
}

/// Resets connections in the middle of a request.
fn reset(address: &str) {
    for _ in 0..50 {
        let Ok(socket) = TcpStream::connect(address) else { return };
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        let _ = std::io::Write::write(&mut &socket, b"GET / HT");
    }
}

/// A client that publishes continuously; returns the number of replies, and the longest time of one.
fn valid_client(address: String, done: Arc<AtomicBool>) -> JoinHandle<(u32, Duration)> {
    thread::spawn(move || {
        let mut connection = Connection::open(&address);
        let (mut answered, mut longest) = (0, Duration::ZERO);
        while !done.load(Ordering::SeqCst) {
            let start = Instant::now();
            let reply = connection.post("/publish", BODY);
            assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
            (answered, longest) = (answered + 1, longest.max(start.elapsed()));
            pause(Duration::from_millis(5));
        }
        (answered, longest)
    })
}

#[test]
fn no_valid_request_fails_or_waits_under_all_attacks() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 1\nidle-timeout = 2", broker.port());
    let daemon = Daemon::connected_with(&config);
    let stalls = Stalls::start();
    let (done, leaked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..CLIENTS).map(|_| valid_client(daemon.address().to_owned(), done.clone())).collect();
    let attackers: Vec<_> = (0..ATTACKS.len())
        .map(|number| {
            let (address, done, leaked) = (daemon.address().to_owned(), done.clone(), leaked.clone());
            thread::spawn(move || {
                for round in 0.. {
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    ATTACKS[(number + round) % ATTACKS.len()](&address);
                    if leaked.fetch_add(1, Ordering::SeqCst) < LEAKS {
                        leak(&address);
                    }
                    pause(Duration::from_millis(50));
                }
            })
        })
        .collect();
    let end = Instant::now() + SOAK;
    while Instant::now() < end && clients.iter().all(|client| !client.is_finished()) {
        pause(Duration::from_secs(3));
        // for a moment no connection can be accepted
        limit(daemon.id(), "nofile=20:");
        pause(Duration::from_millis(300));
        limit(daemon.id(), "nofile=4096:");
    }
    done.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.join().unwrap();
    }
    let stalled = stalls.longest();
    let (answered, longest): (Vec<u32>, Vec<Duration>) =
        clients.into_iter().map(|client| client.join().expect("a valid request failed")).unzip();
    let longest = longest.into_iter().max().unwrap();
    assert!(longest < LONGEST + stalled, "one took {longest:?}; the machine stalled for {stalled:?}");
    assert!(answered.iter().all(|count| *count > 500), "{answered:?}");
    assert_eq!(broker.log_with("Received PUBLISH").len(), answered.iter().sum::<u32>() as usize);
    assert_eq!(daemon.lines_with("error:").len(), 0);
}

/// The two requests that leak a thread and two descriptors each.
fn leak(address: &str) {
    hold(address, 1, b"GET / HTTP/2.0\r\n\r\n");
    hold(address, 1, b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000000\r\n\r\n");
}

#[test]
fn with_a_passed_socket_no_request_fails_when_leaks_restart_the_daemon() {
    let broker = Mosquitto::start();
    let (folder, address) = (Folder::new(), format!("127.0.0.1:{}", free_port()));
    let config = format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 0.5", broker.port());
    let passer = pass(&folder, &config, 3, &[&format!("tcp:{address}")]);
    passer.wait_for("connected to");
    let done = Arc::new(AtomicBool::new(false));
    let (to, is_done) = (address.clone(), done.clone());
    let client = thread::spawn(move || {
        let mut answered = 0;
        while !is_done.load(Ordering::SeqCst) {
            let reply = Connection::open(&to).post("/publish", BODY);
            assert_eq!((reply.status, reply.code()), (200, 0), "after {answered}: {reply:?}");
            answered += 1;
        }
        answered
    });
    for restart in 1..=2 {
        hold(&address, 230, b"GET / HTTP/2.0\r\n\r\n");
        let ended = || passer.lines_with("ended 1").len();
        eventually("a restart", ended, |ended| *ended >= restart || client.is_finished());
    }
    passer.wait_for_nth(3, "connected to");
    done.store(true, Ordering::SeqCst);
    let answered = client.join().expect("a valid request failed");
    assert!(answered > 100, "{answered}");
}
