//! What the pages of docs/ name and show, tried as it stands there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::metrics::metrics;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::blocks;
use crate::support::process::Process;

const MONITORING: &str = include_str!("../../docs/monitoring.md");
const ALERTS: &str = include_str!("../../docs/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../docs/monitoring/dashboard.json");
const CONTAINERS: &str = include_str!("../../docs/containers.md");
const LOCAL_BROKER: &str = include_str!("../../docs/local-broker.md");
const ARCHITECTURE: &str = include_str!("../../docs/architecture.md");
const ENDED_CONNECTIONS: &str = include_str!("../../docs/ended-connections.md");

/// The words of a text that begin with `prefix`, up to the first character that is not of a name.
fn names<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let end = |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    text.match_indices(prefix).map(|(start, _)| &text[start..start + end(&text[start..])]).collect()
}

/// Those of a bridge that shows all it has.
fn all_metrics() -> String {
    let webhook = "[[webhook]]\nname = \"orders\"\ntopic = \"orders/#\"\nurl = \"http://127.0.0.1:9000\"";
    let folder = Folder::new();
    let outbox = format!("[outbox]\npath = \"{}\"", folder.path().join("outbox").display());
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{webhook}\n{outbox}", free_port()));
    metrics(daemon.address())
}

#[test]
fn the_page_on_monitoring_names_every_metric_and_no_other() {
    let text = all_metrics();
    // a histogram has three lines, and its name in their comment
    let exposed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let exposed = exposed.into_iter().filter(|name| name.starts_with("mqtt_bridge_")).collect::<BTreeSet<_>>();
    assert_eq!(names(MONITORING, "mqtt_bridge_"), exposed);
    let results = |metric: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter(|line| line.starts_with(metric));
        lines.map(|line| line.split("result=\"").nth(1).unwrap().split('"').next().unwrap()).collect()
    };
    let (_, table) = MONITORING.split_once("| `result` | the client got").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let described: BTreeSet<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(described, results("mqtt_bridge_publishes_total{"));
    let deliveries = "mqtt_bridge_webhook_deliveries_total";
    let row = MONITORING.lines().find(|line| line.starts_with(&format!("| `{deliveries}`"))).unwrap();
    let described: BTreeSet<&str> = row.split('`').skip(1).step_by(2).skip(3).collect();
    assert_eq!(described, results(&format!("{deliveries}{{")));
    let settled = "mqtt_bridge_outbox_settled_total";
    let row = MONITORING.lines().find(|line| line.starts_with(&format!("| `{settled}`"))).unwrap();
    let described: BTreeSet<&str> = row.split('`').skip(1).step_by(2).skip(2).collect();
    assert_eq!(described, results(&format!("{settled}{{")));
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let text = all_metrics();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 5);
    for name in names(ALERTS, "mqtt_bridge_").into_iter().chain(names(DASHBOARD, "mqtt_bridge_")) {
        assert!(text.contains(&format!("\n{name}")), "{name} is not in /metrics");
    }
    for alert in ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(MONITORING.contains(&format!("| `{alert}` |")), "{alert} is not on the page");
    }
}

#[test]
fn promtool_accepts_the_alert_rules() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring/alerts.yml");
    let output = Command::new("promtool").args(["check", "rules", rules]).output();
    let output = output.expect("promtool is needed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_variables_of_the_containers_are_accepted() {
    let sha256 = "0".repeat(64);
    let of_docker = CONTAINERS.split(" -e ").skip(1).map(|rest| rest.split_whitespace().next().unwrap());
    let of_docker = of_docker.map(|pair| pair.split_once('=').unwrap());
    let of_kubernetes = CONTAINERS.split("- name: MQTT_BRIDGE").skip(1).map(|rest| {
        let mut lines = rest.lines();
        let (name, value) = (lines.next().unwrap(), lines.next().unwrap().trim());
        (name, value.strip_prefix("value: ").unwrap_or("secret"))
    });
    let of_kubernetes: Vec<(String, &str)> =
        of_kubernetes.map(|(name, value)| (format!("MQTT_BRIDGE{name}"), value)).collect();
    let of_kubernetes = of_kubernetes.iter().map(|(name, value)| (name.as_str(), *value));
    for variables in [of_docker.collect::<Vec<_>>(), of_kubernetes.collect()] {
        assert!(variables.len() > 8, "{variables:?}");
        let mut command = program();
        command.arg("--check").current_dir("/");
        for (name, value) in variables {
            let value = if name.ends_with("SHA256") { sha256.as_str() } else { value.trim_matches(['\'', '"']) };
            command.env(name, value);
        }
        let mut check = Process::start(&mut command);
        let status = check.wait_for_end();
        // an address and a certificate that this machine does not have are no faults of the page
        assert_eq!((status.code(), check.lines_with("names no key")), (Some(0), Vec::new()), "{:?}", check.lines());
    }
}

#[test]
fn a_local_broker_keeps_messages_while_the_upstream_broker_is_away() {
    let (upstream, local) = (free_port(), free_port());
    let folder = Folder::new();
    let mut configuration = blocks(LOCAL_BROKER)[0]
        .text
        .replace("listener 1883 127.0.0.1\n", "")
        .replace("broker.example.com:1883", &format!("127.0.0.1:{upstream}"));
    for (word, value) in [("USER", "site"), ("PASSWORD", "s3cret")] {
        let line = LOCAL_BROKER.split('`').find(|quoted| quoted.ends_with(word)).expect("a line for it");
        configuration.push_str(&line.replace(word, value));
        configuration.push('\n');
    }
    let broker = Mosquitto::on_port(
        local,
        &format!("{configuration}persistence_location {}/\nmax_packet_size 1000000\n", folder.path().display()),
    );
    let daemon = Daemon::connected(local);
    assert_eq!(daemon.publish(r#"{"topic":"site-1/alarm","msg":"fire","qos":1}"#).status, 200);
    drop(daemon);
    let beyond = Mosquitto::with_password_on_port(upstream, "site", "s3cret");
    let login = "user = \"site\"\npassword = \"s3cret\"";
    let reader =
        Daemon::with(&format!("[mqtt]\nport = {upstream}\n{login}\n[[subscribe]]\ntopic = \"site-1/#\"\nqos = 1"));
    reader.wait_for("subscribed to site-1/#");
    // it may have come before there was a subscriber
    let daemon = Daemon::connected(local);
    beyond.wait_for("Received PUBLISH from site-1 ");
    assert_eq!(daemon.publish(r#"{"topic":"site-1/alarm","msg":"out","qos":1}"#).status, 200);
    reader.wait_for("Received message on topic: site-1/alarm with payload: out");
    drop(broker);
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let quoted = [ARCHITECTURE, ENDED_CONNECTIONS].into_iter().flat_map(|page| page.split('`').skip(1).step_by(2));
    let is_path =
        |text: &&str| text.contains('/') && !text.contains([' ', '{', '*', '<', '#']) && !text.starts_with('/');
    let mut found = 0;
    for path in quoted.filter(is_path).filter(|path| !path.contains("NAME") && !path.starts_with("bench/")) {
        let at = [
            root.join(path),
            root.join("src").join(path),
            root.join("src/http").join(path),
            root.join("src/http/server").join(path),
            root.join("src/mqtt").join(path),
            root.join("src/mqtt/session").join(path),
        ];
        assert!(at.iter().any(|path| path.exists()), "there is no {path}");
        found += 1;
    }
    assert!(found > 40, "{found}");
}

#[test]
fn the_files_of_both_ways_are_read_in_an_evening() {
    let start = ARCHITECTURE.find("## The way of a publish").unwrap();
    let ways = &ARCHITECTURE[start..start + ARCHITECTURE[start..].find("## The way of a hook").unwrap()];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: BTreeSet<&str> =
        ways.split('`').skip(1).step_by(2).filter(|text| text.strip_suffix(".rs").is_some()).collect();
    let lines = |file: &&str| std::fs::read_to_string(source.join(file)).unwrap_or_else(|_| panic!("no {file}"));
    let lines: usize = files.iter().map(|file| lines(file).lines().count()).sum();
    assert!(files.len() > 30 && (2_000..=3_500).contains(&lines), "{lines} lines in {} files", files.len());
}
