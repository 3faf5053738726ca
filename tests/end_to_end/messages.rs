//! What a listener of `GET /messages` receives: each message once, with all of its fields.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::subscriptions::{assert_granted, subscribe};
use crate::support::daemon::Daemon;
use crate::support::events::{Item, Listener, target};
use crate::support::folder::Folder;
use crate::support::http::Connection;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::head;

const RECEIVED: &str = "Received message on topic: ";

/// The message without its time, which must be the current time.
#[track_caller]
fn without_time(mut message: Value) -> Value {
    let time = message.as_object_mut().and_then(|message| message.remove("time"));
    let time = time.as_ref().and_then(Value::as_f64).unwrap_or_else(|| panic!("no time: {time:?} {message}"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..=now + 0.001).contains(&time), "{time} is not {now}");
    message
}

/// The properties of a message; the broker subtracts the waiting time from the expiry interval (MQTT 5, 3.3.2.3.3).
fn properties_of(message: &Value) -> Value {
    let mut properties = message["properties"].clone();
    if let Some(left) = properties.get_mut("message_expiry_interval") {
        assert!(left.as_u64().is_some_and(|left| (3990..=4000).contains(&left)), "{left}");
        *left = 4000.into();
    }
    properties
}

#[test]
fn the_head_of_a_stream_is_sent_at_once() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "a/#");
    let headers = ["content-type", "cache-control", "x-accel-buffering"].map(|name| listener.head.header(name));
    assert_eq!(headers, [Some("text/event-stream"), Some("no-store"), Some("no")], "{:?}", listener.head);
    assert_eq!(listener.item_within(crate::support::PATIENCE), Some(Item::Comment));
}

#[test]
fn text_payloads_are_strings_and_absent_fields_are_left_out() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = Daemon::speaking(protocol, broker.port());
        let mut listener = Listener::open(&daemon, "a/+");
        for payload in ["hello", "zw\u{f6}lf \u{1f600}", "a\nb\r\n\n\ndata: x\u{2028}\"\\\u{7f}", "{\"a\": [1, null]}"]
        {
            broker.publish(&["-t", "a/b", "-m", payload]);
            let expected = json!({"topic": "a/b", "payload": payload, "qos": 0, "retain": false});
            assert_eq!(without_time(listener.message()), expected);
        }
        broker.publish(&["-t", "a/", "-n"]);
        let expected = json!({"topic": "a/", "payload": "", "qos": 0, "retain": false});
        assert_eq!(without_time(listener.message()), expected);
    }
}

#[test]
fn binary_payloads_are_in_base64() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "b");
    let file = folder.path().join("payload");
    let every_byte: Vec<u8> = (0..=255).collect();
    let all = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xN\
               Tk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2\
               en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e\
               7v8PHy8/T19vf4+fr7/P3+/w==";
    for (bytes, text) in [(&b"\xff\xfe"[..], "//4="), (b"ok\xc3", "b2vD"), (&every_byte, all)] {
        std::fs::write(&file, bytes).unwrap();
        broker.publish(&["-t", "b", "-f", file.to_str().unwrap()]);
        let expected = json!({"topic": "b", "payload_base64": text, "qos": 0, "retain": false});
        assert_eq!(without_time(listener.message()), expected);
    }
}

#[test]
fn a_large_message_comes_whole() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "large");
    let payload = "0123456789".repeat(50_000);
    let body = json!({"topic": "large", "msg": payload}).to_string();
    daemon.publish(&body).assert_published();
    assert!(listener.message()["payload"] == payload, "another payload");
    daemon.publish(r#"{"topic":"large","msg":"end"}"#).assert_published();
    assert_eq!(listener.payloads_until("end"), Vec::<String>::new());
}

#[test]
fn properties_are_delivered_in_order_with_repetitions() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "p");
    let properties = json!({
        "payload_format_indicator": 1,
        "message_expiry_interval": 4000,
        "response_topic": "answer/here",
        "correlation_data": "zw\u{f6}lf",
        "content_type": "text/plain; charset=utf-8",
        "user_properties": [["b", "2"], ["a", "1"], ["b", "2"], ["", ""], ["b", "3"]],
    });
    let body = json!({"topic": "p", "msg": "x", "qos": 1, "properties": properties});
    assert_eq!(daemon.publish(&body.to_string()).status, 200);
    let mut message = without_time(listener.message());
    assert_eq!(properties_of(&message), properties);
    message.as_object_mut().unwrap().remove("properties");
    assert_eq!(message, json!({"topic": "p", "payload": "x", "qos": 0, "retain": false}));
    // each property alone
    for (name, value) in properties.as_object().unwrap() {
        let alone = json!({ name: value });
        let body = json!({"topic": "p", "msg": "x", "qos": 1, "properties": alone});
        assert_eq!(daemon.publish(&body.to_string()).status, 200);
        assert_eq!(properties_of(&listener.message()), alone);
    }
    // from another client, with an indicator for bytes
    broker.publish(&["-V", "5", "-t", "p", "-m", "x", "-D", "publish", "payload-format-indicator", "0"]);
    let indicator = listener.message()["properties"].get("payload_format_indicator").cloned();
    // mosquitto may omit the default value
    assert!(indicator.is_none() || indicator == Some(json!(0)), "{indicator:?}");
}

#[test]
fn the_qos_is_that_of_the_delivery() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    for listening in 0..=2 {
        let topic = format!("q/{listening}");
        let target = format!("{}&qos={listening}", target(&topic));
        let mut listener = Listener::ask(&daemon, &target, &[]).expect("a stream");
        for sent in 0..=2 {
            broker.publish(&["-t", &topic, "-q", &sent.to_string(), "-m", "x"]);
            assert_eq!(listener.message()["qos"], listening.min(sent), "sent at {sent}, listening at {listening}");
        }
    }
}

#[test]
fn a_retained_message_reaches_each_new_listener_once() {
    let broker = Mosquitto::start();
    for topic in ["r/1", "r/2"] {
        broker.publish(&["-t", topic, "-r", "-q", "1", "-m", topic]);
    }
    let daemon = Daemon::connected(broker.port());
    let retained = |listener: &mut Listener| {
        let mut found: Vec<String> = (0..2)
            .map(|_| {
                let message = listener.message();
                assert_eq!(message["retain"], true, "{message}");
                message["payload"].as_str().unwrap().to_owned()
            })
            .collect();
        found.sort();
        assert_eq!(found, ["r/1", "r/2"]);
    };
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let mut listener = Listener::open(&daemon, "r/+");
        retained(&mut listener);
        listeners.push(listener);
    }
    broker.publish(&["-t", "r/3", "-m", "end"]);
    for listener in &mut listeners {
        assert_eq!(listener.payloads_until("end"), Vec::<String>::new(), "retained messages came once");
    }
    let mut overlapping = Listener::open(&daemon, "r/#");
    retained(&mut overlapping);
    // a live message with the retain flag is delivered without it
    broker.publish(&["-t", "r/1", "-r", "-m", "new"]);
    for listener in listeners.iter_mut().chain([&mut overlapping]) {
        let message = listener.message();
        assert_eq!((&message["payload"], &message["retain"]), (&json!("new"), &json!(false)), "{message}");
    }
}

#[test]
fn a_retained_message_reaches_a_new_listener_but_not_the_journal_again() {
    let broker = Mosquitto::start();
    for topic in ["in/kept", "run/kept"] {
        broker.publish(&["-t", topic, "-r", "-m", topic]);
    }
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"in/#\"", broker.port()));
    daemon.wait_for("in/kept with payload: in/kept");
    let mut of_the_file = Listener::open(&daemon, "in/#");
    assert_eq!(of_the_file.message()["payload"], "in/kept");
    let mut of_all = Listener::open(&daemon, "#");
    assert_eq!([of_all.message(), of_all.message()].map(|message| message["retain"].clone()), [true, true]);
    let mut of_run = Listener::open(&daemon, "run/#");
    assert_eq!(of_run.message()["payload"], "run/kept");
    assert!(daemon.lines_with("run/kept").is_empty());
    // new for the journal, but not for the listener
    assert_granted(&subscribe(&daemon, "run/#", 0), "run/#", 0);
    daemon.wait_for("run/kept with payload: run/kept");
    for topic in ["in/end", "run/end"] {
        broker.publish(&["-t", topic, "-m", "end"]);
    }
    assert_eq!(of_the_file.payloads_until("end"), Vec::<String>::new());
    assert_eq!(of_all.payloads_until("end"), Vec::<String>::new());
    assert_eq!(of_run.payloads_until("end"), Vec::<String>::new());
    daemon.wait_for("run/end with payload: end");
    let recorded: Vec<String> =
        daemon.lines_with(RECEIVED).iter().map(|line| line[RECEIVED.len()..].to_owned()).collect();
    let expected = ["in/kept with payload: in/kept", "run/kept with payload: run/kept", "in/end with payload: end"];
    assert_eq!(recorded[..recorded.len() - 1], expected, "and the last is run/end");
}

#[test]
fn overlapping_filters_deliver_each_message_once_to_each_listener_and_the_journal() {
    let broker = Mosquitto::start();
    let file = "[[subscribe]]\ntopic = \"a/#\"\nqos = 1";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{file}", broker.port()));
    daemon.wait_for("subscribed to a/#");
    assert_granted(&subscribe(&daemon, "a/b", 1), "a/b", 1);
    let filters = ["#", "a/#", "a/b", "+/b", "a/+", "#"];
    let mut listeners: Vec<Listener> = filters.iter().map(|filter| Listener::open(&daemon, filter)).collect();
    assert_granted(&subscribe(&daemon, "+/b", 2), "+/b", 2);
    let sent: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for payload in &sent {
        let body = json!({"topic": "a/b", "msg": payload, "qos": 1}).to_string();
        assert_eq!(daemon.publish(&body).status, 200);
    }
    for topic in ["other", "a/c", "a/b"] {
        broker.publish(&["-t", topic, "-q", "1", "-m", topic]);
    }
    for (filter, listener) in filters.iter().zip(&mut listeners) {
        let mut expected = sent.clone();
        expected.extend((*filter == "#").then(|| "other".to_owned()));
        expected.extend(["#", "a/#", "a/+"].contains(filter).then(|| "a/c".to_owned()));
        assert_eq!(listener.payloads_until("a/b"), expected, "{filter}");
    }
    daemon.wait_for("a/b with payload: a/b");
    let recorded = daemon.lines_with(RECEIVED);
    assert_eq!(recorded.iter().filter(|line| line.contains("on topic: a/b")).count(), 101, "each once");
    assert_eq!(recorded.len(), 102, "and nothing for the listeners: {recorded:?}");
    // nothing arrived late
    broker.publish(&["-t", "a/b", "-m", "end"]);
    for listener in &mut listeners {
        assert_eq!(listener.payloads_until("end"), Vec::<String>::new());
    }
}

#[test]
fn in_mqtt_3_1_1_each_message_reaches_a_listener_once() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nprotocol = \"3.1.1\"\n[[subscribe]]\ntopic = \"a/#\"",
        broker.port()
    ));
    daemon.wait_for("subscribed to a/#");
    let mut listeners = ["a/#", "a/#", "a/b", "a/+"].map(|filter| Listener::open(&daemon, filter));
    for payload in ["1", "2", "3"] {
        broker.publish(&["-t", "a/b", "-m", payload]);
    }
    broker.publish(&["-t", "a/b", "-m", "end"]);
    for listener in &mut listeners {
        assert_eq!(listener.payloads_until("end"), ["1", "2", "3"]);
    }
    daemon.wait_for("payload: end");
    assert_eq!(daemon.lines_with(RECEIVED).len(), 4);
}

#[test]
fn all_listeners_see_one_order_and_each_filter_has_its_own_identifiers() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut listeners = ["o/#", "o/#", "o/+"].map(|filter| Listener::open(&daemon, filter));
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut connection = daemon.connect();
                for n in 0..250 {
                    let body = json!({"topic": format!("o/{publisher}"), "msg": format!("{publisher}/{n}"), "qos": 1});
                    assert_eq!(connection.post("/publish", body.to_string().as_bytes()).status, 200);
                }
            });
        }
    });
    broker.publish(&["-t", "o/end", "-m", "end"]);
    let mut ids = std::collections::BTreeSet::new();
    let seen = listeners.each_mut().map(|listener| {
        let mut payloads = Vec::new();
        loop {
            let event = listener.event();
            let payload = event.data["payload"].as_str().unwrap().to_owned();
            if payload == "end" {
                return payloads;
            }
            ids.insert((payload.clone(), event.id.expect("an identifier")));
            payloads.push(payload);
        }
    });
    assert_eq!(seen[0].len(), 1000);
    assert!(seen[0] == seen[1], "two of one filter differ");
    assert!(seen[0] == seen[2], "two of different filters differ");
    for publisher in 0..4 {
        let prefix = format!("{publisher}/");
        let own: Vec<&String> = seen[0].iter().filter(|payload| payload.starts_with(&prefix)).collect();
        assert!(own.iter().enumerate().all(|(n, payload)| **payload == format!("{publisher}/{n}")), "{own:?}");
    }
    // one identifier per message and filter
    assert_eq!(ids.len(), 2000);
    assert_eq!(ids.iter().map(|(_, id)| id).collect::<std::collections::BTreeSet<_>>().len(), 2000);
}

#[test]
fn an_http_1_0_client_gets_the_stream_without_chunks() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let connection = Connection::open(daemon.address());
    let mut listener = Listener::on(connection, &head("GET", &target("a"), "1.0", &[])).expect("a stream");
    assert_eq!(listener.head.header("transfer-encoding"), None, "{:?}", listener.head);
    assert_eq!(listener.head.header("content-length"), None, "{:?}", listener.head);
    for payload in ["1", "2"] {
        broker.publish(&["-t", "a", "-m", payload]);
        assert_eq!(listener.message()["payload"], payload);
    }
}
