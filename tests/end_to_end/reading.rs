//! `GET /topics/{topic}`: the retained message of a topic, or the next one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::subscriptions::{listed, subscribe};
use crate::support::SLACK;
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::folder::Folder;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{head, request};
use crate::support::token::Token;
use crate::support::waiting::eventually;

/// [{"a":"1"},{"a":"ö"}]
const PAIRS: &str = "W3siYSI6IjEifSx7ImEiOiLDtiJ9XQ==";
const RECORD: &str = "Received message on topic: a with payload: ";

/// `retained-wait` where a test waits for its end, in seconds; others wait for a message, however slow the machine is.
const SHORT: f64 = 1.0;
const LONG: &str = "[http]\nretained-wait = 30";

fn daemon(broker: &Mosquitto, protocol: &str, more: &str) -> Daemon {
    let mqtt = format!("port = {}\nprotocol = \"{protocol}\"\nmax-packet-size = 8000000", broker.port());
    let http = if more.contains("[http]") { "" } else { LONG };
    Daemon::connected_with(&format!("[mqtt]\n{mqtt}\n{more}\n{http}"))
}

/// A request that is not answered yet, although the broker has granted the topic.
pub fn waiting(daemon: &Daemon, topic: &str, query: &str) -> Connection {
    let mut connection = daemon.served_connection();
    connection.send(&request("GET", &format!("/topics/{topic}{query}"), &[], ""));
    let has_reader = |entry: &Option<Value>| {
        entry.as_ref().is_some_and(|entry| entry["listeners"] != 0 && !entry["granted_qos"].is_null())
    };
    eventually(&format!("a reader of {topic}"), || listed(daemon, topic), has_reader);
    connection
}

#[track_caller]
pub fn assert_value(reply: &Reply, payload: &str, is_retained: bool) {
    assert_eq!((reply.status, &*String::from_utf8_lossy(&reply.body)), (200, payload), "{reply:?}");
    assert_eq!(reply.header("mqtt-retain"), Some(if is_retained { "true" } else { "false" }), "{reply:?}");
}

/// 404 that says how long the bridge has waited.
#[track_caller]
pub fn assert_nothing(reply: &Reply, retained_wait: f64) {
    let words = format!(
        "no retained message came within {retained_wait} s (`retained-wait`): MQTT has no answer that says that there is none"
    );
    reply.assert_refused(404, 6, &words);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[test]
fn a_retained_message_is_read_as_it_was_sent() {
    let broker = Mosquitto::start();
    let daemon = daemon(&broker, "5", "");
    let bytes: Vec<u8> = (0..=255).collect();
    let sent = [
        ("Content-Type", "image/x-icon"),
        ("x-amz-mqtt5-user-properties", PAIRS),
        ("x-amz-mqtt5-correlation-data", "MTIz"),
        ("x-amz-mqtt5-payload-format-indicator", "UNSPECIFIED_BYTES"),
    ];
    let put = daemon.connect().request("PUT", "/topics/a/b?retain=true&qos=1", &sent, &bytes);
    assert_eq!(put.status, 200, "{put:?}");
    let mut connection = daemon.connect();
    assert_eq!(connection.get("/topics/a/b").header("mqtt-qos"), Some("0"), "as it is requested");
    let read = connection.get("/topics/a%2Fb?qos=1");
    assert_eq!((read.status, &read.body), (200, &bytes), "{read:?}");
    let others = [
        ("MQTT-QoS", "1"),
        ("MQTT-Retain", "true"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "sandbox"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", "256"),
    ];
    let is_there = |reply: &Reply| {
        for (name, value) in sent.into_iter().chain(others) {
            assert_eq!(reply.header(&name.to_ascii_lowercase()), Some(value), "{name}: {reply:?}");
        }
    };
    is_there(&read);
    connection.send(head("HEAD", "/topics/a/b?qos=1", "1.1", &[]).as_bytes());
    is_there(&connection.reply_to_head());
    // no body follows
    let as_json =
        connection.request("GET", "/topics/a/b?qos=1", &[("Accept", "text/html, application/json;q=0.5")], b"");
    assert_eq!(as_json.header("content-type"), Some("application/json"), "{as_json:?}");
    let mut stream = Listener::ask(&daemon, "/messages?topic=a/b&qos=1", &[]).expect("a stream");
    let (mut read, mut streamed) = (as_json.json(), stream.message());
    assert!(read["time"].as_f64().is_some_and(|time| time > 1e9), "{read}");
    (read["time"], streamed["time"]) = (Value::Null, Value::Null);
    assert_eq!(read, streamed);
    assert_eq!((&read["topic"], &read["retain"]), (&json!("a/b"), &json!(true)));
}

#[test]
fn in_mqtt_3_1_1_a_retained_message_is_bytes() {
    let broker = Mosquitto::start();
    broker.publish(&["-V", "5", "-t", "a", "-r", "-m", "21.5", "-D", "publish", "content-type", "text/plain"]);
    let daemon = daemon(&broker, "3.1.1", "");
    // the second time the topic is subscribed to already, by a listener too the third time
    for _ in 0..2 {
        let reply = daemon.get("/topics/a");
        assert_value(&reply, "21.5", true);
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
        assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("x-amz-")), "{reply:?}");
    }
    let _listener = Listener::open(&daemon, "a");
    assert_value(&daemon.get("/topics/a"), "21.5", true);
}

#[test]
fn where_nothing_is_retained_the_reply_is_404_after_retained_wait() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = daemon(&broker, protocol, &format!("[http]\nretained-wait = {SHORT}"));
        let mut connection = daemon.connect();
        for _ in 0..2 {
            let begun = Instant::now();
            assert_nothing(&connection.get("/topics/a"), SHORT);
            assert!(begun.elapsed() >= Duration::from_secs_f64(SHORT), "{:?}", begun.elapsed());
            // it is read, and cleared again
            connection.request("PUT", "/topics/a?retain=true", &[], b"x").assert_published();
            assert_value(&connection.get("/topics/a"), "x", true);
            connection.request("DELETE", "/topics/a", &[], b"").assert_published();
        }
        connection.send(head("HEAD", "/topics/a", "1.1", &[]).as_bytes());
        assert_eq!(connection.reply_to_head().status, 404);
        // a client that has ended its direction reads on
        connection.send(head("GET", "/topics/a", "1.1", &[]).as_bytes());
        connection.end_sending();
        assert_nothing(&connection.reply(), SHORT);
    }
}

#[test]
fn with_wait_the_next_message_is_read_or_204_follows() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let limits = "idle-timeout = 0.2\nrequest-timeout = 0.2";
        let daemon = daemon(&broker, protocol, &format!("[http]\nretained-wait = {SHORT}\n{limits}"));
        let mut reader = waiting(&daemon, "a", "?wait=60");
        broker.publish(&["-t", "a", "-m", "next"]);
        broker.publish(&["-t", "a", "-m", "after"]);
        assert_value(&reader.reply(), "next", false);
        let begun = Instant::now();
        // a client that sends nothing more is not gone, and no limit for requests ends the wait
        let none = daemon.connect().request("GET", "/topics/a?wait=2", &[("Connection", "close")], b"");
        assert_eq!((none.status, none.header("content-length"), none.body.len()), (204, None, 0), "{none:?}");
        assert_eq!(none.header("cache-control"), Some("no-store"));
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        // what is retained needs no wait
        broker.publish(&["-t", "a", "-r", "-m", "kept"]);
        assert_value(&daemon.get("/topics/a?wait=60"), "kept", true);
    }
}

#[test]
fn topics_with_odd_characters_are_read() {
    let broker = Mosquitto::start();
    let daemon = daemon(&broker, "5", "");
    let mut connection = daemon.connect();
    for path in ["/", "//a/", "k%C3%BCche/%20", "a%252Fb", "a%3Fb%26c", "%22%3C%3E%5C", "a=b&c", "..", "topics/a"] {
        let put = connection.request("PUT", &format!("/topics/{path}?retain=true&qos=1"), &[], path.as_bytes());
        assert_eq!(put.status, 200, "{put:?}");
    }
    for path in ["%2F", "//a/", "k%C3%BCche/%20", "a%252Fb", "a%3Fb%26c", "%22%3C%3E%5C", "a=b&c", "..", "topics/a"] {
        let expected = if path == "%2F" { "/" } else { path };
        assert_value(&connection.get(&format!("/topics/{path}")), expected, true);
    }
    let version = connection.get("/topics/$SYS/broker/version");
    assert!(version.status == 200 && version.body.starts_with(b"mosquitto"), "{version:?}");
}

#[test]
fn every_refused_read_names_the_rule() {
    let broker = Mosquitto::start();
    let daemon = daemon(&broker, "5", "");
    let mut connection = daemon.connect();
    let wildcard = |c| format!("`topic` must not contain the wildcard `{c}`: `GET /messages` takes a topic filter");
    for (path, error) in [
        ("a/+", wildcard('+')),
        ("%23", wildcard('#')),
        ("a+b", wildcard('+')),
        ("", "`topic` must not be empty".to_owned()),
        ("%24share/g/a", "`topic` must not be a shared subscription".to_owned()),
        ("a%00", "`topic` must not contain the character U+0000".to_owned()),
        ("%FF", "`topic` is not UTF-8 when it is decoded".to_owned()),
        ("a?retain=true", "unknown parameter `retain`: there are `qos`, `wait` and `timeout`".to_owned()),
        ("a?wait=61", "`wait` must be a number of seconds above 0 and up to 60, not 61".to_owned()),
        ("a?wait=0", "`wait` must be a number of seconds above 0 and up to 60, not 0".to_owned()),
        ("a?timeout=61", "`timeout` must be a number of seconds above 0 and up to 60, not 61".to_owned()),
        ("a?qos=3", "`qos` must be 0, 1 or 2, not 3".to_owned()),
    ] {
        for method in ["GET", "HEAD"] {
            connection.send(head(method, &format!("/topics/{path}"), "1.1", &[]).as_bytes());
            match method {
                "GET" => connection.reply().assert_refused(400, 3, &error),
                _ => assert_eq!(connection.reply_to_head().status, 400, "{path}"),
            }
        }
    }
    let mut with_body = daemon.connect();
    with_body.send(&request("GET", "/topics/a", &[], "x"));
    with_body.reply().assert_refused(400, 3, "a request that reads messages must have no body");
    assert!(broker.log_with("Received SUBSCRIBE").is_empty(), "the broker was asked for nothing");
}

#[test]
fn a_token_reads_within_its_subscribe_and_its_max_listeners() {
    let broker = Mosquitto::start();
    broker.publish(&["-t", "a/b", "-r", "-m", "x"]);
    let reader = Token::new("reader", "[]").reading(r#"["a/+", "w"]"#).with("max-listeners = 1");
    let publisher = Token::new("publisher", r##"["#"]"##);
    let daemon = daemon(&broker, "5", &format!("{}{}", reader.table, publisher.table));
    let get =
        |token: &Token, path: &str| daemon.connect().request("GET", path, &[("Authorization", &token.bearer())], b"");
    assert_value(&get(&reader, "/topics/a/b"), "x", true);
    for (token, topic) in [(&reader, "a"), (&reader, "a/b/c"), (&reader, "$SYS/broker/version"), (&publisher, "a/b")] {
        let refused = get(token, &format!("/topics/{topic}"));
        assert_eq!((refused.status, refused.code()), (403, 12), "{topic}: {refused:?}");
    }
    assert_eq!(daemon.get("/topics/a/b").status, 401);
    let mut waits = daemon.connect();
    waits.send(&request("GET", "/topics/w?wait=60", &[("Authorization", &reader.bearer())], ""));
    broker.wait_for("\tw (QoS 0)");
    let above = get(&reader, "/topics/a/b");
    assert_eq!((above.status, above.code(), above.header("retry-after")), (429, 15, Some("1")), "{above:?}");
    broker.publish(&["-t", "w", "-m", "y"]);
    assert_value(&waits.reply(), "y", false);
    assert_value(&get(&reader, "/topics/a/b"), "x", true);
}

#[test]
fn a_reader_that_leaves_frees_its_place() {
    let broker = Mosquitto::start();
    broker.publish(&["-t", "kept", "-r", "-m", "x"]);
    let daemon = daemon(&broker, "5", &format!("[http]\nmax-listeners = 1\nretained-wait = {SHORT}"));
    let mut connection = daemon.connect();
    // each reply is followed by the next request at once
    for _ in 0..50 {
        assert_value(&connection.get("/topics/kept"), "x", true);
    }
    let reader = waiting(&daemon, "a", "?wait=60");
    let full = connection.get("/topics/kept");
    full.assert_refused(503, 15, "there are as many listeners as `max-listeners` allows");
    assert_eq!(full.header("retry-after"), Some("1"));
    let begun = Instant::now();
    drop(reader);
    let next = eventually("room for a reader", || connection.get("/topics/kept"), |reply| reply.status == 200);
    assert_value(&next, "x", true);
    assert!(begun.elapsed() < Duration::from_secs(2) + SLACK, "{:?}", begun.elapsed());
}

#[test]
fn a_content_type_that_http_cannot_express_is_bytes() {
    let broker = Mosquitto::start();
    let daemon = daemon(&broker, "5", "");
    for (content_type, expected) in
        [("t\u{f6}xt", "application/octet-stream"), ("", "application/octet-stream"), ("text/html", "text/html")]
    {
        let body = json!({"topic": "a", "msg": "x", "retain": true, "properties": {"content_type": content_type}});
        daemon.publish(&body.to_string()).assert_published();
        let reply = daemon.get("/topics/a");
        assert_value(&reply, "x", true);
        assert_eq!(reply.header("content-type"), Some(expected), "{reply:?}");
        assert_eq!(reply.header("content-security-policy"), Some("sandbox"));
    }
}

#[test]
fn a_page_of_an_allowed_origin_reads_the_headers() {
    let broker = Mosquitto::start();
    let daemon = daemon(&broker, "5", "[http]\nallowed-origins = [\"https://panel.example\"]\nretained-wait = 1");
    broker.publish(&["-t", "a", "-r", "-m", "x"]);
    let get = |path: &str, origin| daemon.connect().request("GET", path, &[("Origin", origin)], b"");
    for (path, status) in [("/topics/a", 200), ("/topics/b", 404), ("/topics/b?wait=0.01", 204)] {
        let reply = get(path, "https://panel.example");
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://panel.example"));
        let exposed = reply.header("access-control-expose-headers").unwrap();
        for name in ["MQTT-QoS", "MQTT-Retain", "x-amz-mqtt5-user-properties"] {
            assert!(exposed.split(", ").any(|header| header == name), "{name}: {exposed}");
        }
        assert_eq!(reply.header("vary"), Some("Origin"));
    }
    assert_eq!(get("/topics/a", "https://evil.example").status, 403);
}

#[test]
fn a_large_value_is_read_whole_or_refused_for_lack_of_memory() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let daemon = daemon(&broker, "5", "[http]\nmax-connections = 200\nretained-wait = 30");
    let large: Vec<u8> = (1..=u8::MAX).cycle().take(900_000).collect();
    let longest = folder.path().join("longest");
    // each byte takes six as JSON
    std::fs::write(&longest, vec![1; 7_000_000]).unwrap();
    broker.publish(&["-t", "longest", "-r", "-f", longest.to_str().unwrap()]);
    let put = daemon.connect().request("PUT", "/topics/large?retain=true&qos=1", &[], &large);
    assert_eq!(put.status, 200, "{put:?}");
    let mut readers: Vec<Connection> = (0..80).map(|_| daemon.served_connection()).collect();
    for reader in &mut readers {
        reader.send(&request("GET", "/topics/large", &[], ""));
    }
    let mut whole = 0;
    for reader in &mut readers {
        let reply = reader.reply();
        if reply.status == 200 {
            assert!(reply.body == large, "{} bytes", reply.body.len());
            whole += 1;
        } else {
            assert_eq!((reply.status, reply.code()), (503, 15), "{reply:?}");
        }
    }
    assert!(whole > 0, "none was read");
    let lost = daemon.get("/topics/longest");
    lost.assert_refused(503, 15, "there was not enough memory for the received messages, so that one was dropped");
    let peak = daemon.resources().peak_kib;
    assert!(peak < 300 * 1024, "{peak} KiB with {whole} readers");
}

#[test]
fn a_read_is_not_recorded_and_works_beside_a_subscription_of_the_topic() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        broker.publish(&["-t", "a", "-r", "-m", "1"]);
        let file = "[[subscribe]]\ntopic = \"a\"\nqos = 1";
        let daemon = daemon(&broker, protocol, file);
        daemon.wait_for(&format!("{RECORD}1"));
        assert_value(&daemon.get("/topics/a"), "1", true);
        broker.publish(&["-t", "a", "-r", "-m", "2"]);
        daemon.wait_for(&format!("{RECORD}2"));
        for _ in 0..2 {
            assert_value(&daemon.get("/topics/a"), "2", true);
        }
        broker.publish(&["-t", "a", "-m", "end"]);
        daemon.wait_for(&format!("{RECORD}end"));
        assert_eq!(daemon.lines_with(RECORD).len(), 3, "{protocol}: {:?}", daemon.lines());
    }
}

#[test]
fn a_value_that_began_after_the_subscription_is_recorded_once() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = daemon(&broker, protocol, "[[subscribe]]\ntopic = \"a\"");
        daemon.wait_for("subscribed to a");
        broker.publish(&["-t", "a", "-r", "-m", "1"]);
        daemon.wait_for(&format!("{RECORD}1"));
        assert_value(&daemon.get("/topics/a"), "1", true);
        broker.publish(&["-t", "a", "-m", "end"]);
        daemon.wait_for(&format!("{RECORD}end"));
        assert_eq!(daemon.lines_with(RECORD).len(), 2, "{protocol}: {:?}", daemon.lines());
    }
}

#[test]
fn where_a_wider_filter_covers_the_topic_the_reply_is_501_in_mqtt_3_1_1_only() {
    for (protocol, status) in [("5", 200), ("3.1.1", 501)] {
        let broker = Mosquitto::start();
        broker.publish(&["-t", "in/a", "-r", "-m", "x"]);
        let daemon = daemon(&broker, protocol, "[[subscribe]]\ntopic = \"in/#\"");
        // perhaps before the broker has granted the filter
        let early = daemon.get("/topics/in/a");
        daemon.wait_for("subscribed to in/#");
        assert_eq!(subscribe(&daemon, "run/#", 1).status, 200);
        for reply in [early, daemon.get("/topics/in/a"), daemon.get("/topics/in/b?wait=1")] {
            assert!(reply.status == status || (status == 200 && reply.status == 204), "{protocol}: {reply:?}");
            if status == 501 {
                assert_eq!(reply.code(), 10);
                assert!(reply.error().starts_with("not done: a wider topic filter is subscribed to"), "{reply:?}");
            }
        }
        assert_eq!(daemon.get("/topics/run/a?wait=0.1").status, if status == 200 { 204 } else { 501 });
        // other topics are read
        broker.publish(&["-t", "other", "-r", "-m", "y"]);
        assert_value(&daemon.get("/topics/other"), "y", true);
    }
}
