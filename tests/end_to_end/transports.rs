//! Transports other than TCP: Unix sockets and WebSocket, and builds with and without them and TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::builds::build;
use crate::support::certificates::Authority;
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::tls_broker::assert_acknowledged;

/// A daemon started with this command.
fn daemon_of(mut command: Command, configuration: &str) -> Daemon {
    Daemon::run(configuration, |config| {
        command.arg("--config").arg(config);
        command
    })
}

/// A broker that also listens on this socket.
fn on_socket(path: &Path) -> Mosquitto {
    Mosquitto::on_port(free_port(), &format!("allow_anonymous true\nlistener 0 {}", path.display()))
}

#[test]
fn a_broker_on_a_unix_socket_is_connected_to_and_reconnected() {
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let shown = path.display().to_string();
    for (protocol, lines) in
        [("5", format!("server = \"unix:{shown}\"")), ("3.1.1", format!("server = \"{shown}\"\ntransport = \"unix\""))]
    {
        let tables = format!("[mqtt]\n{lines}\nprotocol = \"{protocol}\"\nreconnect-max = 0.1");
        let daemon = Daemon::with(&format!("{tables}\n[[subscribe]]\ntopic = \"t\""));
        let absent = daemon.wait_for("cannot connect");
        let words = format!("warning: cannot connect to unix:{shown}: No such file or directory (os error 2)");
        assert!(absent.starts_with(&words), "{absent}");
        let mut broker = on_socket(&path);
        daemon.wait_for(&format!("connected to unix:{shown}"));
        daemon.wait_for("subscribed to t");
        assert_acknowledged(&daemon, "hello");
        daemon.wait_for("Received message on topic: t with payload: hello");
        let status = daemon.get("/status");
        let status: Value = serde_json::from_slice(&status.body).unwrap();
        assert_eq!(status["connection"]["broker"], format!("unix:{shown}"));
        // the stale socket refuses connections
        broker.kill();
        daemon.wait_for(&format!("warning: connection to unix:{shown} lost: closed by the broker; connecting again"));
        daemon.wait_for("Connection refused");
        broker.restart();
        daemon.wait_for_nth(2, "subscribed to t");
        assert_acknowledged(&daemon, "again");
        drop(broker);
        drop(fs::remove_file(&path));
    }
}

#[test]
fn the_environment_may_name_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let _broker = on_socket(&path);
    let mut command = program();
    command.env("MQTT_SERVER", format!("unix:{}", path.display()));
    daemon_of(command, "[mqtt]\nport = 1").wait_for("connected to unix:/");
}

#[test]
fn brokers_behind_websocket_are_reached_with_and_without_tls() {
    let authority = Authority::new();
    // mosquitto ignores the address of WebSocket listeners
    let (plain, secure) = (free_port(), free_port());
    let broker = Mosquitto::on_port(
        free_port(),
        &format!(
            "allow_anonymous true\nlistener {plain}\nprotocol websockets\nlistener {secure}\nprotocol websockets\n{}",
            authority.issue("broker").served()
        ),
    );
    for (protocol, address, tls) in [
        ("5", format!("ws://127.0.0.1:{plain}/mqtt"), String::new()),
        ("3.1.1", format!("ws://localhost:{plain}/"), String::new()),
        ("5", format!("wss://localhost:{secure}/mqtt"), authority.trusted()),
        ("3.1.1", format!("wss://127.0.0.1:{secure}/mqtt"), authority.trusted()),
    ] {
        let tables = format!(
            "[mqtt]\nserver = \"{address}\"\nprotocol = \"{protocol}\"\n[mqtt.tls]\n{tls}\n[[subscribe]]\ntopic = \"t\""
        );
        let daemon = daemon_of(build("websocket"), &tables);
        daemon.wait_for(&format!("connected to {address}"));
        daemon.wait_for("subscribed to t");
        let mut subscriber = broker.subscribe("t", 1, "%p");
        assert_acknowledged(&daemon, "hello");
        subscriber.wait_for_end();
        assert_eq!(subscriber.stdout(), b"hello");
        daemon.wait_for("Received message on topic: t with payload: hello");
        // not to the daemon itself: this broker sends only about 50 kB/s by WebSocket
        assert_eq!(daemon.connect().post("/topics/large?qos=1", &vec![b'x'; 1_000_000]).status, 200);
    }
    let stranger = format!("[mqtt]\nserver = \"wss://localhost:{secure}/mqtt\"");
    daemon_of(build("websocket"), &stranger)
        .wait_for(": the broker's certificate is of no authority that this system trusts: ");
}

#[test]
fn a_missing_websocket_is_logged() {
    let broker = Mosquitto::start();
    let daemon =
        |address: &str| daemon_of(build("websocket"), &format!("[mqtt]\nserver = \"{address}\"\nreconnect-max = 0.1"));
    let to_mqtt = daemon(&format!("ws://127.0.0.1:{}/mqtt", broker.port()));
    to_mqtt.wait_for(": there is no WebSocket with MQTT at this URL (");
    // another daemon answers in HTTP with 404
    let other = Daemon::start(broker.port());
    let to_http = daemon(&format!("ws://{}/mqtt", other.address()));
    to_http.wait_for(": there is no WebSocket with MQTT at this URL (");
    let nobody = daemon(&format!("ws://127.0.0.1:{}/mqtt", free_port()));
    nobody.wait_for("/mqtt: Connection refused (os error 111); trying again");
}

#[test]
fn builds_without_tls_websocket_or_webhooks_report_it() {
    let fault = |mut command: Command, lines: &str| {
        let folder = Folder::new();
        let config = folder.write("bridge.toml", lines);
        let mut check = Process::start(command.arg("--check").arg("--config").arg(&config));
        let status = check.wait_for_end().code();
        (status, check.lines().concat().replace(&config.display().to_string(), "FILE"))
    };
    let refused = |words: &str| (Some(78), format!("mqtt-bridge: FILE:{words}"));
    let no_tls = "this build has no TLS: build it with its default features";
    assert_eq!(fault(build("no-tls"), "[mqtt.tls]\nenabled = true"), refused(&format!("2: {no_tls}")));
    assert_eq!(fault(build("no-tls"), "[mqtt]\nserver = \"mqtts://a\""), refused(&format!("2: {no_tls}")));
    let unused = format!("2: `ca-file` is for TLS, and {no_tls}");
    assert_eq!(fault(build("no-tls"), "[mqtt.tls]\nca-file = \"ca.crt\""), refused(&unused));
    assert_eq!(fault(build("no-tls"), "[mqtt.tls]\nenabled = false\nca-file = \"ca.crt\""), (Some(0), String::new()));
    let no_websocket = "2: `server` needs WebSocket, which this build has not: build it with `--features websocket`";
    assert_eq!(fault(program(), "[mqtt]\nserver = \"ws://a/mqtt\""), refused(no_websocket));
    let webhook = "[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"http://localhost\"";
    let no_webhooks = "2: this build has no webhooks: build it with its default features";
    assert_eq!(fault(build("no-tls"), webhook), refused(no_webhooks));
    assert_eq!(fault(program(), webhook), (Some(0), String::new()));
    let broker = Mosquitto::start();
    let daemon = daemon_of(build("no-tls"), &format!("[mqtt]\nport = {}", broker.port()));
    assert_acknowledged(&daemon, "hello");
}
