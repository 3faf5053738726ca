//! Names and addresses of a broker: IPv6, URLs, several addresses, and one that moves.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::certificates::Authority;
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::tls_broker::assert_acknowledged;

/// A broker that listens on an address of this machine's own and nowhere else with the port that is returned.
fn broker_at(address: &str) -> (Mosquitto, u16) {
    let port = free_port();
    (broker_with(address, port), port)
}

fn broker_with(address: &str, port: u16) -> Mosquitto {
    Mosquitto::on_port(free_port(), &format!("allow_anonymous true\nlistener {port} {address}"))
}

/// A daemon with names of its own, which are in a file of this folder. Needs root and mount namespaces.
fn daemon_with_names(folder: &Folder, names: &str, configuration: &str) -> Daemon {
    let hosts = folder.write("hosts", names);
    Daemon::run(configuration, |config| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --bind \"$1\" /etc/hosts && exec \"$2\" --config \"$3\"");
        command.arg("sh").arg(hosts).arg(program().get_program()).arg(config);
        command
    })
}

#[test]
fn ipv6_is_taken_with_brackets_and_without() {
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
        assert_eq!(daemon.lines_with("cannot connect"), Vec::<String>::new(), "it is one try");
    }
}

#[test]
fn a_broker_that_moved_is_found_where_its_name_leads() {
    let (broker, port) = broker_at("127.0.0.2");
    let folder = Folder::new();
    let tables = format!("[mqtt]\nserver = \"broker.test\"\nport = {port}\nreconnect-max = 0.1");
    let daemon = daemon_with_names(&folder, "127.0.0.2 broker.test\n", &tables);
    daemon.wait_for("connected to broker.test:");
    drop(broker);
    daemon.wait_for("cannot connect");
    let broker = broker_with("127.0.0.3", port);
    // in place: what is mounted is this file
    fs::write(folder.path().join("hosts"), "127.0.0.3 broker.test\n").unwrap();
    daemon.wait_for_nth(2, "connected to broker.test:");
    assert_acknowledged(&daemon, "hello");
    broker.wait_for("Received PUBLISH");
}

#[test]
fn a_name_that_nobody_has_is_told_and_found_when_somebody_does() {
    let (_broker, port) = broker_at("127.0.0.2");
    let folder = Folder::new();
    let tables = format!("[mqtt]\nserver = \"mqtt://broker.test:{port}\"\nreconnect-max = 0.1");
    let daemon = daemon_with_names(&folder, "", &tables);
    daemon.wait_for(&format!("warning: cannot connect to broker.test:{port}: failed to lookup address information: "));
    fs::write(folder.path().join("hosts"), "127.0.0.2 broker.test\n").unwrap();
    daemon.wait_for("connected to broker.test:");
}

#[test]
fn the_environment_may_have_a_url() {
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
