//! How the daemon ends, after a signal and after a fault.

use std::net::TcpStream;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;

use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::limits::limit;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::signal;
use crate::support::{PATIENCE, free_port};

#[test]
fn sigterm_and_sigint_send_disconnect_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let broker = Mosquitto::start();
        let mut daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nclient-id = \"me\"", broker.port()));
        daemon.signal(signal);
        assert_eq!(daemon.wait_for_end().code(), Some(0), "{signal}");
        broker.wait_for("Received DISCONNECT from me");
        assert_eq!(
            daemon.lines()[daemon.lines().len() - 3..].join("|"),
            format!("stopping|disconnected from 127.0.0.1:{}|stopped", broker.port())
        );
    }
}

#[test]
fn messages_answered_200_before_a_stop_reach_the_broker() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("n", 50, "%p,");
    let mut connection = daemon.connect();
    for n in 0..50 {
        connection.post("/publish", format!(r#"{{"topic":"n","msg":{n}}}"#).as_bytes()).assert_published();
    }
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(subscriber.wait_for_end().success());
}

#[test]
fn a_stop_without_a_broker_exits_0() {
    let mut daemon = Daemon::start(free_port());
    daemon.wait_for("cannot connect");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn a_stop_answers_running_requests_and_refuses_new_connections() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::connected(broker.port());
    let mut running = daemon.connect();
    // longer than what tiny_http reads together with the head, so that a worker waits for the rest
    let body = format!("{:<2000}", r#"{"topic":"t","msg":"x"}"#);
    running.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    assert_eq!(running.reply().status, 100, "a worker is waiting for the body");
    daemon.signal("TERM");
    daemon.wait_for("stopping");
    let address = daemon.address().to_owned();
    // the backlog may take one more connection before the socket is closed
    let refused = (0..100_000).any(|_| TcpStream::connect(&address).is_err());
    assert!(refused, "new connections are refused");
    running.send(body.as_bytes());
    running.reply().assert_refused(503, 4, "not sent: the bridge is stopping");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn an_endless_request_delays_a_stop_by_the_timeout_at_most() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\nclient-id = \"me\"\n[publish]\ntimeout = 0.5", broker.port());
    let mut daemon = Daemon::connected_with(&config);
    let mut running = daemon.connect();
    running.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    assert_eq!(running.reply().status, 100);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(daemon.lines_with("1 requests were not complete after 0.5 s: they get no answer").len(), 1);
    broker.wait_for("Received DISCONNECT from me");
}

#[test]
fn the_end_of_a_thread_is_named_and_exits_1() {
    let mut broker = Mosquitto::start();
    let mut daemon = Daemon::connected(broker.port());
    // without a free descriptor rumqttc cannot connect again, and panics
    limit(daemon.id(), "nofile=3:3");
    broker.kill();
    assert_eq!(daemon.wait_for_end().code(), Some(1));
    daemon.wait_for("error: thread mqtt panicked at ");
    assert_eq!(daemon.lines().last().unwrap(), "mqtt-bridge: thread mqtt ended unexpectedly: it panicked");
}

#[test]
fn an_unread_standard_error_does_not_delay_a_stop() {
    let broker = Mosquitto::start();
    let (folder, http) = (Folder::new(), free_port());
    let config = folder.write(
        "bridge.toml",
        &format!(
            "[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"t\"\n[publish]\ntimeout = 0.5\n[http]\nlisten = \"127.0.0.1:{http}\"",
            broker.port()
        ),
    );
    let mut child = program().arg("--config").arg(config).stderr(Stdio::piped()).spawn().unwrap();
    broker.wait_for("Sending SUBACK to mqtt-bridge-");
    // more than a pipe holds
    for _ in 0..200 {
        broker.publish(&["-t", "t", "-m", &"x".repeat(1000)]);
    }
    signal(child.id(), "TERM");
    let (sender, ended) = channel();
    let unread = child.stderr.take();
    thread::spawn(move || sender.send(child.wait().unwrap().code()));
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(Some(0)));
    drop(unread);
}
