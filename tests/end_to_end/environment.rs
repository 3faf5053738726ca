//! The daemon in a container: its whole configuration is in the environment.

use std::process::Command;

use crate::support::daemon::{Daemon, program};
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

/// The program without a configuration file, with these variables.
fn bare(variables: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.current_dir("/").envs(variables.iter().copied());
    command
}

#[test]
fn the_environment_alone_configures_the_daemon() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", "[]");
    let port = broker.port().to_string();
    let of_table = |key: &str| token.table.split(&format!("{key} = \"")).nth(1).unwrap().split('"').next().unwrap();
    let daemon = Daemon::run("", |_| {
        bare(&[
            ("MQTT_PORT", &port),
            ("MQTT_BRIDGE_HTTP_LISTEN", "127.0.0.1:0"),
            ("MQTT_BRIDGE_MQTT_CLIENT_ID", "7"),
            ("MQTT_BRIDGE_SUBSCRIBE", "a/#,b/+"),
            ("MQTT_BRIDGE_SUBSCRIBE_QOS", "1"),
            ("MQTT_BRIDGE_TOKEN_0_NAME", "kitchen"),
            ("MQTT_BRIDGE_TOKEN_0_SHA256", of_table("sha256")),
            ("MQTT_BRIDGE_TOKEN_0_PUBLISH", "a/#,c"),
            // set by Kubernetes for a service named mqtt-bridge
            ("MQTT_BRIDGE_SERVICE_HOST", "10.0.0.7"),
            ("MQTT_BRIDGE_PORT", "tcp://10.0.0.7:8000"),
            ("MQTT_BRIDGE_PORT_8000_TCP_ADDR", "10.0.0.7"),
            ("MQTT_BRIDGE_HTTP_LISTN", "127.0.0.1:1"),
        ])
    });
    for filter in ["a/#", "b/+"] {
        daemon.wait_for(&format!("subscribed to {filter} at QoS 1"));
    }
    broker.wait_for("as 7 (");
    let body = br#"{"topic":"a/b","msg":"hello","qos":1}"#;
    let reply = daemon.connect().request("POST", "/publish", &[("Authorization", &token.bearer())], body);
    assert_eq!(reply.status, 200, "{reply:?}");
    daemon.wait_for("Received message on topic: a/b with payload: hello");
    assert_eq!(daemon.connect().post("/publish", body).status, 401);
    let warnings = daemon.lines_with("MQTT_BRIDGE_");
    let words = "MQTT_BRIDGE_HTTP_LISTN names no key of the configuration; did you mean `MQTT_BRIDGE_HTTP_LISTEN`?";
    assert!(warnings.len() == 1 && warnings[0].ends_with(words), "{warnings:?}");
}

#[test]
fn an_invalid_variable_exits_78_with_one_line() {
    for arguments in [&["--check"][..], &[]] {
        let mut daemon = Process::start(bare(&[("MQTT_BRIDGE_HTTP_WORKERS", "many")]).args(arguments));
        assert_eq!(daemon.wait_for_end().code(), Some(78));
        let words =
            "mqtt-bridge: MQTT_BRIDGE_HTTP_WORKERS: `workers` must be a whole number from 1 to 64, not \"many\"";
        assert_eq!(daemon.lines(), [words]);
    }
}

#[test]
fn check_warns_of_unknown_variables() {
    let mut check = Process::start(bare(&[("MQTT_BRIDGE_HTTP_LISTN", "127.0.0.1:1")]).arg("--check"));
    assert_eq!(check.wait_for_end().code(), Some(0));
    let words = "mqtt-bridge: MQTT_BRIDGE_HTTP_LISTN names no key of the configuration; did you mean `MQTT_BRIDGE_HTTP_LISTEN`?";
    assert_eq!(check.lines(), [words]);
}
