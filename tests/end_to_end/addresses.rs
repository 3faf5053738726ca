//! Names and addresses of a broker: IPv6, URLs, several addresses, and one that changes.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::support::certificates::Authority;
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::tls_broker::assert_acknowledged;

/// A broker that listens only on this local address and the returned port.
fn broker_at(address: &str) -> (Mosquitto, u16) {
    let port = free_port();
    (broker_with(address, port), port)
}

fn broker_with(address: &str, port: u16) -> Mosquitto {
    Mosquitto::on_port(free_port(), &format!("allow_anonymous true\nlistener {port} {address}"))
}

/// A daemon with its own `/etc/hosts`, which is a file of this folder.
fn daemon_with_names(folder: &Folder, names: &str, configuration: &str) -> Daemon {
    daemon_with(&folder.write("hosts", names), "/etc/hosts", configuration)
}

/// A daemon for which a file replaces another. Needs root and mount namespaces.
fn daemon_with(file: &Path, place: &str, configuration: &str) -> Daemon {
    Daemon::run(configuration, |config| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --bind \"$1\" \"$4\" && exec \"$2\" --config \"$3\"");
        command.arg("sh").arg(file).arg(program().get_program()).arg(config).arg(place);
        command
    })
}

#[test]
fn ipv6_addresses_are_accepted_with_and_without_brackets() {
    let (_broker, port) = broker_at("::1");
    for lines in [
        format!("server = \"::1\"\nport = {port}"),
        format!("server = \"[::1]\"\nport = {port}"),
        format!("server = \"mqtt://[::1]:{port}\""),
        format!("server = \"MQTT://[0:0::1]:{port}/\"\nport = {port}\ntransport = \"tcp\""),
    ] {
        let daemon = Daemon::with(&format!("[mqtt]\n{lines}"));
        let line = daemon.wait_for("connected to [");
        assert!(line.ends_with(&format!("::1]:{port}")), "{line}");
        assert_acknowledged(&daemon, "hello");
    }
}

#[test]
fn a_certificate_may_be_for_an_ipv6_address() {
    let authority = Authority::new();
    let port = free_port();
    let lines = format!("allow_anonymous true\nlistener {port} ::1\n{}", authority.issue("broker").served());
    let _broker = Mosquitto::on_port(free_port(), &lines);
    for server in [format!("mqtts://[::1]:{port}"), format!("mqtts://[0::1]:{port}")] {
        let daemon = Daemon::with(&format!("[mqtt]\nserver = \"{server}\"\n[mqtt.tls]\n{}", authority.trusted()));
        daemon.wait_for(&format!("connected to {server}"));
    }
}

#[test]
fn the_addresses_of_a_name_are_tried_in_turn() {
    let (_broker, port) = broker_at("127.0.0.4");
    let folder = Folder::new();
    let names =
        ["::1", "127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|address| format!("{address} broker.test\n")).concat();
    for protocol in ["5", "3.1.1"] {
        let tables = format!("[mqtt]\nserver = \"broker.test\"\nport = {port}\nprotocol = \"{protocol}\"");
        let daemon = daemon_with_names(&folder, &names, &tables);
        daemon.wait_for(&format!("connected to broker.test:{port}"));
        assert_eq!(daemon.lines_with("cannot connect"), Vec::<String>::new(), "all addresses are one attempt");
    }
}

#[test]
fn a_broker_is_found_at_its_new_address() {
    let (broker, port) = broker_at("127.0.0.2");
    let folder = Folder::new();
    let tables = format!("[mqtt]\nserver = \"broker.test\"\nport = {port}\nreconnect-max = 0.1");
    let daemon = daemon_with_names(&folder, "127.0.0.2 broker.test\n", &tables);
    daemon.wait_for("connected to broker.test:");
    drop(broker);
    daemon.wait_for("cannot connect");
    let broker = broker_with("127.0.0.3", port);
    // written in place: the mount is of this file
    fs::write(folder.path().join("hosts"), "127.0.0.3 broker.test\n").unwrap();
    daemon.wait_for_nth(2, "connected to broker.test:");
    assert_acknowledged(&daemon, "hello");
    broker.wait_for("Received PUBLISH");
}

#[test]
fn a_name_that_does_not_resolve_is_logged_and_connected_to_later() {
    let (_broker, port) = broker_at("127.0.0.2");
    let folder = Folder::new();
    let tables = format!("[mqtt]\nserver = \"mqtt://broker.test:{port}\"\nreconnect-max = 0.1");
    let daemon = daemon_with_names(&folder, "", &tables);
    daemon.wait_for(&format!("warning: cannot connect to broker.test:{port}: failed to lookup address information: "));
    fs::write(folder.path().join("hosts"), "127.0.0.2 broker.test\n").unwrap();
    daemon.wait_for("connected to broker.test:");
}

/// Answers each query for an IPv4 address (RFC 1035, 4) with 127.0.0.1, and others with no record.
fn serve_names(socket: &UdpSocket) {
    let mut question = [0; 512];
    while let Ok((length, asker)) = socket.recv_from(&mut question) {
        let is_for_ipv4 = question[length - 3] == 1;
        let mut answer = question[..length].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_for_ipv4), 0, 0, 0, 0]);
        if is_for_ipv4 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
        }
        socket.send_to(&answer, asker).unwrap();
    }
}

#[test]
fn a_broker_is_found_when_the_first_name_server_does_not_answer() {
    let broker = Mosquitto::start();
    // addresses that no other test uses
    let [high, low] = free_port().to_be_bytes();
    let [silent, serving] = [1, 2].map(|last| format!("127.{high}.{low}.{last}"));
    let _silent = UdpSocket::bind((silent.as_str(), 53)).unwrap();
    let socket = UdpSocket::bind((serving.as_str(), 53)).unwrap();
    thread::spawn(move || serve_names(&socket));
    let folder = Folder::new();
    let servers = folder.write("resolv.conf", &format!("nameserver {silent}\nnameserver {serving}\n"));
    for protocol in ["5", "3.1.1"] {
        let tables =
            format!("[mqtt]\nserver = \"broker.example\"\nport = {}\nprotocol = \"{protocol}\"", broker.port());
        let daemon = daemon_with(&servers, "/etc/resolv.conf", &tables);
        daemon.wait_for("connected to broker.example:");
        assert_eq!(daemon.lines_with("cannot connect"), Vec::<String>::new(), "all addresses are one attempt");
    }
}

#[test]
fn the_environment_variable_may_hold_a_url() {
    let broker = Mosquitto::start();
    let server = format!("mqtt://localhost:{}", broker.port());
    let daemon = Daemon::run("[mqtt]\nport = 1", |config| {
        let mut command = program();
        command.env("MQTT_SERVER", server).arg("--config").arg(config);
        command
    });
    daemon.wait_for("connected to localhost:");
}

#[test]
fn a_password_in_a_url_is_refused_and_never_shown() {
    let folder = Folder::new();
    let check = |config: &Path, server: Option<&str>| {
        let mut command = program();
        command.envs(server.map(|server| ("MQTT_SERVER", server))).arg("--check").arg("--config").arg(config);
        let mut check = Process::start(&mut command);
        let status = check.wait_for_end().code();
        (status, check.lines().concat())
    };
    let words = "must have no user and password in it, which records would show: set `user` and `password`";
    for url in
        ["mqtts://alice:s3cret@broker", "ws://alice:s3/cret@broker/mqtt", "alice:s3cret@broker", "http://u:s3cret@b"]
    {
        let config = folder.write("bridge.toml", &format!("[mqtt]\nserver = \"{url}\""));
        assert_eq!(check(&config, None), (Some(78), format!("mqtt-bridge: {}:2: `server` {words}", config.display())));
        let config = folder.write("bridge.toml", "");
        assert_eq!(check(&config, Some(url)), (Some(78), format!("mqtt-bridge: MQTT_SERVER: {words}")));
    }
}
