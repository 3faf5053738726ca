//! A line on standard error: its time, in text or in JSON.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::daemon::program;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Process, without_time};
use crate::support::token::Token;

/// Runs the daemon with this table `[log]`, has it receive a message and refuse a request, and returns its lines.
fn records(log: &str) -> Vec<String> {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let token = Token::new("t", "[]");
    let address = format!("127.0.0.1:{}", free_port());
    let subscription = "[[subscribe]]\ntopic = \"in\"\nqos = 1\npriority = 3";
    let config = format!(
        "[log]\n{log}\n[mqtt]\nport = {}\nclient-id = \"me\"\n{subscription}\n{}[http]\nlisten = \"{address}\"",
        broker.port(),
        token.table
    );
    let (config, path) = (folder.write("bridge.toml", &config), folder.path().join("log"));
    // redirected to a file, since the test compares bytes
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" --config "$1" 2> "$2""#]).arg(program().get_program()).args([&config, &path]);
    File::create(&path).unwrap();
    let mut daemon = Process::start(command.stdin(Stdio::null()));
    broker.wait_for("Sending SUBACK to me");
    let headers = [("X-Request-ID", "seven")];
    assert_eq!(Connection::open(&address).request("GET", "/status", &headers, b"").status, 401);
    broker.publish(&[
        "-q",
        "1",
        "-t",
        "in",
        "-m",
        "hello \u{fc}",
        "-V",
        "5",
        "-D",
        "publish",
        "user-property",
        "k",
        "v",
    ]);
    broker.wait_for("Received PUBACK from me");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_line_begins_with_its_time_unless_time_is_false() {
    let (lines, end) = (records(""), SystemTime::now());
    let without: Vec<&str> = lines.iter().map(|line| without_time(line)).collect();
    assert!(lines.iter().zip(&without).all(|(line, rest)| line.len() == rest.len() + 25), "{lines:?}");
    // times in this format sort like their bytes
    let times: Vec<&str> = lines.iter().map(|line| &line[..24]).collect();
    assert!(times.is_sorted(), "{times:?}");
    let years = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 31_556_952;
    let year: u64 = times[0][..4].parse().unwrap();
    assert!(year.abs_diff(1970 + years) <= 1, "{year}");
    assert!(without.contains(&"Received message on topic: in with payload: hello \u{fc}"), "{lines:?}");
    assert!(without.contains(&"warning: unauthorized: 127.0.0.1 sent no token (request seven)"), "{lines:?}");
    assert_eq!(without.last(), Some(&"stopped"));
    let plain = records("time = false");
    assert!(plain.contains(&"Received message on topic: in with payload: hello \u{fc}".to_owned()), "{plain:?}");
    assert_eq!(plain.last().unwrap(), "stopped");
}

#[test]
fn with_json_each_line_is_an_object_with_all_fields() {
    let lines = records("format = \"json\"");
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    for object in &objects {
        assert!(["time", "level", "message"].iter().all(|key| object[key].is_string()), "{object}");
    }
    let found = |message: &str| {
        let mut found = objects.iter().find(|object| object["message"] == message).expect(message).clone();
        found.as_object_mut().unwrap().remove("time");
        found
    };
    let received = "Received message on topic: in with payload: hello \u{fc}";
    let expected = json!({
        "level": "error", "message": received, "topic": "in", "qos": 1, "retain": false, "dup": false,
        "payload": "hello \u{fc}", "user_properties": [["k", "v"]],
    });
    assert_eq!(found(received), expected);
    let refused = "unauthorized: 127.0.0.1 sent no token";
    let expected = json!({"level": "warn", "message": refused, "client_address": "127.0.0.1", "request_id": "seven"});
    assert_eq!(found(refused), expected);
    assert_eq!(found("stopped"), json!({"level": "info", "message": "stopped"}));
}

#[test]
fn a_start_error_is_logged_in_json() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let config = format!("[log]\nformat = \"json\"\ntime = false\n[http]\nlisten = \"{listen}\"");
    let config = folder.write("bridge.toml", &config);
    let mut daemon = Process::start(program().arg("--config").arg(config));
    assert!(!daemon.wait_for_end().success());
    let last: Value = serde_json::from_str(daemon.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["message"].as_str().unwrap().contains(&listen.to_string()), "{last}");
}
