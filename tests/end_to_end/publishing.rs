//! Published messages arrive unchanged.

use std::process::Command;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;

/// Publishes a JSON value and returns what a subscriber receives.
fn delivered(msg: &serde_json::Value) -> Vec<u8> {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("a/topic", 1, "%p");
    daemon.publish(&json!({ "topic": "a/topic", "msg": msg }).to_string()).assert_published();
    assert!(subscriber.wait_for_end().success());
    subscriber.stdout()
}

#[test]
fn text_arrives_byte_for_byte() {
    assert_eq!(delivered(&json!("hello, \"world\"\\\n\t")), b"hello, \"world\"\\\n\t");
}

#[test]
fn utf_8_arrives_byte_for_byte() {
    assert_eq!(delivered(&json!("Grüße 🦀 \u{0}\u{feff}")), "Grüße 🦀 \u{0}\u{feff}".as_bytes());
}

#[test]
fn an_empty_message_arrives_empty() {
    assert_eq!(delivered(&json!("")), b"");
}

#[test]
fn a_million_bytes_arrive() {
    let text: String = ('a'..='z').cycle().take(1_000_000).collect();
    assert!(delivered(&json!(text)) == text.as_bytes());
}

#[test]
fn every_json_type_of_msg_arrives_as_its_text() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("t", 6, "%p;");
    for msg in ["1.10", "true", "null", "{ \"b\" : 1, \"a\": [ 2 ] }", "[ ]", "\"x\""] {
        daemon.publish(&format!("{{\"topic\": \"t\", \"msg\": {msg}}}")).assert_published();
    }
    assert!(subscriber.wait_for_end().success());
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), "1.10;true;;{\"b\":1,\"a\":[2]};[];x;");
}

#[test]
fn payload_is_another_name_for_msg_and_timeout_is_accepted() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("t", 1, "%p %q %r");
    daemon.publish(r#"{"topic": "t", "payload": "x", "qos": 0, "retain": false, "timeout": 2.5}"#).assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"x 0 0");
}

#[test]
fn a_retained_message_is_kept_and_an_empty_one_clears_it() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    daemon.publish(r#"{"topic": "kept", "msg": "still here", "retain": true}"#).assert_published();
    daemon.publish(r#"{"topic": "passing", "msg": "not here"}"#).assert_published();
    broker.wait_for("'passing'");
    let mut later = broker.subscribe("#", 1, "%t %p %r");
    later.wait_for_end();
    assert_eq!(later.stdout(), b"kept still here 1");

    daemon.publish(r#"{"topic": "kept", "msg": null, "retain": true}"#).assert_published();
    daemon.publish(r#"{"topic": "other", "msg": "x", "retain": true}"#).assert_published();
    broker.wait_for("'other'");
    let mut latest = broker.subscribe("#", 1, "%t");
    latest.wait_for_end();
    assert_eq!(latest.stdout(), b"other");
}

#[test]
fn base64_is_decoded_and_invalid_base64_clears_nothing() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let body = r#"{"topic": "kept", "msg": "AP/+", "payload_encoding": "base64", "qos": 1, "retain": true}"#;
    assert_eq!(daemon.publish(body).status, 200);
    let words = "`msg` must be base64 with its padding (RFC 4648, 4), and is not";
    for bad in ["AP/", "AP_-", "A", "AP /+", "AP/+\\n"] {
        daemon.publish(&body.replace("AP/+", bad)).assert_refused(400, 3, words);
    }
    daemon.publish(&body.replace("\"AP/+\"", "null")).assert_refused(400, 3, "`msg` must be a string, not null");
    let mut later = broker.subscribe("kept", 1, "%x %r");
    later.wait_for_end();
    assert_eq!(later.stdout(), b"00fffe 1");
}

#[test]
fn curl_with_its_default_content_type_publishes() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("django/mqtt", 1, "%p");
    let url = format!("http://{}/publish", daemon.address());
    let mut curl =
        Process::start(Command::new("curl").args(["-sS", "-d", r#"{"topic":"django/mqtt","msg":"hello"}"#, &url]));
    assert!(curl.wait_for_end().success());
    assert_eq!(curl.stdout(), br#"{"code":0}"#);
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"hello");
}

#[test]
fn requests_on_one_connection_are_published_in_order() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("n", 100, "%p,");
    let mut connection = daemon.connect();
    for n in 0..100 {
        connection.post("/publish", json!({ "topic": "n", "msg": n }).to_string().as_bytes()).assert_published();
    }
    subscriber.wait_for_end();
    let expected = (0..100).map(|n| format!("{n},")).collect::<Vec<_>>().concat();
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), expected);
}

#[test]
fn a_byte_order_mark_is_ignored_before_json_and_kept_in_a_payload() {
    const MARK: &str = "\u{feff}";
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("mark", 5, "%p|");
    let mut connection = daemon.connect();
    for (path, body) in [
        ("/publish", r#"{"topic":"mark","msg":"1"}"#),
        ("/publish/bulk", r#"[{"topic":"mark","msg":"2"}]"#),
        ("/api/v5/publish", r#"{"topic":"mark","payload":"3"}"#),
        ("/api/v5/publish/bulk", r#"[{"topic":"mark","payload":"4"}]"#),
        ("/subscribe", r#"{"topic":"a"}"#),
        ("/unsubscribe", r#"{"topic":"a"}"#),
    ] {
        let reply = connection.post(path, format!("{MARK}{body}").as_bytes());
        assert!(matches!(reply.status, 200 | 202), "{path}: {reply:?}");
    }
    let asked = connection.post("/request", format!(r#"{MARK}{{"topic":"nobody","msg":""}}"#).as_bytes());
    assert_eq!(asked.status, 404, "nobody subscribes: {asked:?}");
    connection.post("/topics/mark", format!("{MARK}5").as_bytes()).assert_published();
    subscriber.wait_for_end();
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), format!("1|2|3|4|{MARK}5|"));
    for (body, error) in [
        (MARK.to_owned(), "the body is empty: it must be a JSON object"),
        (format!("{MARK}{MARK}{{}}"), "the body is not valid JSON: expected value at line 1 column 1"),
        (format!(" {MARK}{{}}"), "the body is not valid JSON: expected value at line 1 column 2"),
    ] {
        connection.post("/publish", body.as_bytes()).assert_refused(400, 3, error);
    }
}
