//! The operational paths: health, readiness, status and metrics.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::metrics::{await_figure, figure, metrics, value};
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{self, SUBSCRIBE, ScriptedBroker};
use crate::support::token::Token;
use crate::support::waiting::eventually;

const PATHS: [&str; 6] = ["/healthz", "/readyz", "/status", "/metrics", "/openapi.json", "/"];
/// The paths that need no token; `/readyz` tells less without one.
const OPEN: [&str; 3] = ["/healthz", "/openapi.json", "/"];

#[test]
fn without_a_broker_the_daemon_is_alive_but_not_ready() {
    let port = free_port();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\nreconnect-max = 0.1\n[[subscribe]]\ntopic = \"a\""));
    daemon.wait_for("cannot connect");
    daemon.get("/healthz").assert_published();
    let reply = daemon.get("/readyz");
    let words = format!("not connected to 127.0.0.1:{port}: Connection refused (os error 111)");
    reply.assert_refused(503, 4, &words);
    assert_eq!(reply.header("retry-after"), Some("1"));
    let status = daemon.get("/status").json();
    assert_eq!(status["connection"]["state"], "not connected");
    assert_eq!(status["connection"]["last_error"]["error"], "Connection refused (os error 111)");
    assert!(status["connection"]["last_error"]["time"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(status["connection"].get("connected_since"), None);
    assert_eq!(status["subscriptions"], json!([{"topic": "a", "qos": 0}]));
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    daemon.wait_for("subscribed to a at QoS 0");
    daemon.get("/readyz").assert_published();
    drop(broker);
    daemon.wait_for("lost: ");
    assert_eq!(daemon.get("/readyz").status, 503);
}

#[test]
fn a_refused_subscription_makes_the_daemon_unready() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE if packet.filters() == ["a"] => scripted_broker::suback(packet, &[1]),
            SUBSCRIBE => scripted_broker::suback(packet, &[135]),
            _ => scripted_broker::behave(packet, &scripted_broker::receive_maximum(20)),
        })
    });
    let subscriptions = "[[subscribe]]\ntopic = \"a\"\nqos = 2\n[[subscribe]]\ntopic = \"b\"\nqos = 1";
    let client = "client-id = \"me\"\nuser = \"someone\"\npassword = \"secret-of-mine\"";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{client}\n{subscriptions}", broker.port()));
    daemon.wait_for("subscription to b refused");
    let words = "subscription to b refused: not authorized (reason code 135)";
    daemon.get("/readyz").assert_refused(503, 4, words);
    let reply = daemon.get("/status");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert!(reply.body.starts_with(br#"{"code":0,"version":"0."#), "{reply:?}");
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(!text.contains("secret-of-mine") && !text.contains("someone"), "{text}");
    let status = reply.json();
    assert_eq!(
        status["subscriptions"],
        json!([{"topic": "a", "qos": 2, "granted_qos": 1}, {"topic": "b", "qos": 1, "reason_code": 135}])
    );
    let connection = &status["connection"];
    let expected = ("connected", format!("127.0.0.1:{}", broker.port()), "5", "me", 0);
    let found = (
        connection["state"].as_str().unwrap(),
        connection["broker"].as_str().unwrap().to_owned(),
        connection["protocol"].as_str().unwrap(),
        connection["client_id"].as_str().unwrap(),
        connection["reconnects"].as_u64().unwrap(),
    );
    assert_eq!(found, expected);
    assert!(connection["connected_since"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        status["publishes"],
        json!({"waiting": 0, "oldest_waiting_seconds": 0.0, "unacknowledged": 0, "receive_maximum": 20, "window": 19})
    );
    let figures = metrics(daemon.address());
    let found = ["connected", "subscriptions", "subscriptions_granted"]
        .map(|name| figure(&figures, &format!("mqtt_bridge_{name}")).to_owned());
    assert_eq!(found, ["1", "2", "1"]);
}

#[test]
fn the_daemon_is_not_ready_while_it_stops() {
    let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 3", free_port());
    let mut daemon = Daemon::with(&config);
    let mut kept = daemon.served_connection();
    let mut waiting = daemon.begin("/publish", r#"{"topic":"t","msg":"x","timeout":60}"#);
    await_figure(daemon.address(), "mqtt_bridge_waiting_publishes", "1");
    daemon.signal("TERM");
    daemon.wait_for("stopping");
    kept.get("/readyz").assert_refused(503, 4, "the bridge is stopping");
    waiting.reply().assert_refused(503, 4, "not sent: the bridge is stopping");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn in_mqtt_3_1_1_the_status_has_no_receive_maximum() {
    let broker = Mosquitto::start();
    let daemon = Daemon::speaking("3.1.1", broker.port());
    await_figure(daemon.address(), "mqtt_bridge_connected", "1");
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
    let status = daemon.get("/status").json();
    assert_eq!(status["connection"]["protocol"], "3.1.1");
    assert_eq!(
        status["publishes"],
        json!({"waiting": 0, "oldest_waiting_seconds": 0.0, "unacknowledged": 0, "window": 100})
    );
    assert_eq!(status["subscriptions"], json!([]));
    daemon.get("/readyz").assert_published();
}

#[test]
fn operational_paths_accept_get_and_head_with_any_query() {
    let daemon = Daemon::start(free_port());
    for path in PATHS {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let reply = daemon.connect().request(method, path, &[], b"");
            reply.assert_refused(405, 3, "the method must be GET or HEAD");
            assert_eq!(reply.header("allow"), Some("GET, HEAD"));
        }
        let expected = if path == "/readyz" { 503 } else { 200 };
        for query in ["?", "?x=1", "?t=1790000000&a[]=%zz"] {
            assert_eq!(daemon.get(&format!("{path}{query}")).status, expected, "{path}{query}");
        }
        let mut connection = daemon.connect();
        connection.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let head = connection.reply_to_head();
        assert_eq!(head.status, expected, "{path}");
        assert_ne!(head.header("content-length"), Some("0"), "the length that GET has");
        // nothing follows the head
        assert_eq!(connection.get("/healthz").body, br#"{"code":0}"#);
    }
}

#[test]
fn health_checks_may_end_with_a_slash() {
    let token = Token::new("watcher", "[]");
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{}", free_port(), token.table));
    for (path, without, with) in [("/healthz/", 200, 200), ("/readyz/", 503, 503), ("/healthz/?x", 200, 200)] {
        assert_eq!(daemon.get(path).status, without, "{path}");
        let reply = daemon.connect().request("GET", path, &[("Authorization", &token.bearer())], b"");
        assert_eq!(reply.status, with, "{path}");
    }
    // paths that a proxy may block by name have no alias, and a topic may have an empty last level
    for (path, status) in [("/healthz//", 404), ("/metrics/", 404), ("/publish/", 404), ("/topics/a/", 405)] {
        let reply = daemon.connect().request("PATCH", path, &[("Authorization", &token.bearer())], b"");
        assert_eq!(reply.status, status, "{path}");
    }
}

#[test]
fn with_tokens_only_four_paths_are_open() {
    let token = Token::new("watcher", "[]");
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{}", free_port(), token.table));
    for path in PATHS {
        let without = daemon.get(path);
        let with = daemon.connect().request("GET", path, &[("Authorization", &token.bearer())], b"");
        let expected = if path == "/readyz" { 503 } else { 200 };
        assert_eq!(with.status, expected, "{path}");
        if path == "/readyz" {
            without.assert_refused(503, 4, "the bridge is not ready");
            assert!(with.error().contains("127.0.0.1:"), "{}", with.error());
        } else if OPEN.contains(&path) {
            assert_eq!(without.status, 200, "{path}");
        } else {
            without.assert_refused(
                401,
                11,
                "this needs a token: `Authorization: Bearer SECRET`, or `Basic` with its name and its secret",
            );
        }
    }
    let hash = token.table.split('"').nth(3).unwrap();
    let status = daemon.connect().request("GET", "/status", &[("Authorization", &token.bearer())], b"");
    let text = String::from_utf8_lossy(&status.body).into_owned();
    assert!(!text.contains(hash) && !text.contains(&token.secret), "{text}");
}

#[test]
fn operational_paths_refuse_foreign_hosts_origins_and_proxies() {
    let daemon = Daemon::start(free_port());
    for path in PATHS {
        for header in
            ["Host: evil.example", "Host: localhost\r\nOrigin: https://evil.example", "Host: localhost\r\nVia: x"]
        {
            let mut connection = daemon.connect();
            connection.send(format!("GET {path} HTTP/1.1\r\n{header}\r\n\r\n").as_bytes());
            assert_eq!(connection.reply().status, 403, "{path} {header}");
        }
    }
}

#[test]
fn metrics_count_publishes_messages_and_reconnects() {
    let mut broker = Mosquitto::start();
    let subscription = "[[subscribe]]\ntopic = \"in\"";
    let config = format!("[mqtt]\nport = {}\nreconnect-max = 0.1\n{subscription}", broker.port());
    let daemon = Daemon::connected_with(&config);
    daemon.wait_for("subscribed to in");
    for qos in [0, 1, 1, 2] {
        assert_eq!(daemon.publish(&format!(r#"{{"topic":"t","msg":"x","qos":{qos}}}"#)).status, 200);
    }
    assert_eq!(daemon.publish("no JSON").status, 400);
    broker.publish(&["-t", "in", "-m", "hello"]);
    daemon.wait_for("Received message on topic: in");
    let figures = metrics(daemon.address());
    for (name, expected) in [
        (r#"mqtt_bridge_publishes_total{qos="0",result="handed_over"}"#, "1"),
        (r#"mqtt_bridge_publishes_total{qos="1",result="acknowledged"}"#, "2"),
        (r#"mqtt_bridge_publishes_total{qos="2",result="acknowledged"}"#, "1"),
        (r#"mqtt_bridge_publishes_total{qos="2",result="unknown"}"#, "0"),
        ("mqtt_bridge_publish_acknowledgement_seconds_count", "3"),
        ("mqtt_bridge_received_messages_total", "1"),
        ("mqtt_bridge_reconnects_total", "0"),
        ("mqtt_bridge_journal_dropped_total", "0"),
        ("mqtt_bridge_waiting_publishes", "0"),
        ("mqtt_bridge_oldest_waiting_seconds", "0"),
        (r#"mqtt_bridge_http_replies_total{code="0",status="200"}"#, "4"),
        (r#"mqtt_bridge_http_replies_total{code="3",status="400"}"#, "1"),
    ] {
        assert_eq!(figure(&figures, name), expected, "{name}");
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert!(value(&figures, name) > 0.0, "{name}");
    }
    assert!(value(&figures, "process_threads") > 5.0);
    assert!(value(&figures, "process_open_fds") < value(&figures, "process_max_fds"));
    // publishes wait while the broker is down
    broker.kill();
    daemon.wait_for("lost: ");
    let mut waiting = daemon.begin("/publish", r#"{"topic":"t","msg":"x","qos":1,"timeout":60}"#);
    await_figure(daemon.address(), "mqtt_bridge_waiting_publishes", "1");
    assert!(value(&metrics(daemon.address()), "mqtt_bridge_oldest_waiting_seconds") > 0.0);
    assert_eq!(daemon.get("/status").json()["publishes"]["waiting"], 1);
    broker.restart();
    assert_eq!(waiting.reply().status, 200);
    await_figure(daemon.address(), "mqtt_bridge_reconnects_total", "1");
    assert_eq!(daemon.get("/status").json()["connection"]["reconnects"], 1);
}

#[test]
fn open_http_connections_are_counted() {
    let daemon = Daemon::start(free_port());
    let connections: Vec<_> = (0..3).map(|_| daemon.served_connection()).collect();
    // the connection of this client counts too
    let mut asking = daemon.served_connection();
    let mut count = || {
        let figures = String::from_utf8(asking.get("/metrics").body).unwrap();
        figure(&figures, "mqtt_bridge_http_connections").to_owned()
    };
    eventually("4 connections", &mut count, |found| found == "4");
    drop(connections);
    eventually("1 connection", &mut count, |found| found == "1");
}

#[test]
fn promtool_accepts_the_metrics() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
    assert_eq!(daemon.publish("no JSON").status, 400);
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool is needed for this test");
    promtool.stdin.take().unwrap().write_all(metrics(daemon.address()).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()), "");
    assert!(output.status.success());
}
