//! Refused topic filters at run time: the reply has the reason, and the filter is not listed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::subscriptions::{assert_granted, listed, subscribe};
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, SUBSCRIBE, ScriptedBroker, UNSUBSCRIBE, answer_filters, behave, publish,
};
use crate::support::token::Token;
use crate::support::waiting::eventually;

const RECEIVED: &str = "Received message on topic: ";

/// A broker of MQTT 5 that refuses each filter whose name is a number with that reason code.
pub fn numbered() -> ScriptedBroker {
    ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE | UNSUBSCRIBE => answer_filters(packet, |filter| filter.parse().ok()),
            _ => behave(packet, &[]),
        })
    })
}

#[test]
fn each_refusal_of_the_broker_reaches_the_caller_and_leaves_no_subscription() {
    let broker = numbered();
    let daemon = Daemon::connected(broker.port());
    for (code, status, ours) in
        [(135, 403, 12), (128, 502, 13), (131, 502, 13), (143, 502, 13), (151, 502, 13), (158, 502, 13), (161, 502, 13)]
    {
        let reply = subscribe(&daemon, &code.to_string(), 1);
        assert_eq!((reply.status, reply.code()), (status, ours), "{reply:?}");
        assert_eq!(reply.json()["reason_code"], code, "{reply:?}");
        assert!(!reply.error().is_empty());
        assert_eq!(listed(&daemon, &code.to_string()), None);
    }
    daemon.get("/readyz").assert_published();
    assert_granted(&subscribe(&daemon, "fine", 2), "fine", 2);
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn the_refusal_of_mqtt_3_1_1_is_128() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            CONNECT => vec![0x20, 2, 0, 0],
            SUBSCRIBE => vec![0x90, 3, packet.body[0], packet.body[1], 0x80],
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::speaking("3.1.1", broker.port());
    let reply = subscribe(&daemon, "a", 1);
    assert_eq!((reply.status, reply.code(), &reply.json()["reason_code"]), (502, 13, &json!(128)), "{reply:?}");
    assert_eq!(listed(&daemon, "a"), None);
}

#[test]
fn a_refusal_on_a_later_connection_is_listed() {
    // granted on the first connection, and not on the second
    let broker = ScriptedBroker::start(|connection, packet| {
        Some(match packet.kind {
            SUBSCRIBE => answer_filters(packet, |filter| (filter == "a" && connection > 0).then_some(135)),
            UNSUBSCRIBE if connection == 0 => return None,
            UNSUBSCRIBE => answer_filters(packet, |_| Some(0)),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    for topic in ["a", "b", "end"] {
        assert_granted(&subscribe(&daemon, topic, 1), topic, 1);
    }
    let body = json!({"topic": "end", "timeout": 1}).to_string();
    let mut ending = daemon.begin("/unsubscribe", body);
    daemon.wait_for("lost");
    daemon.wait_for_nth(2, "connected to");
    let expected = json!({"topic": "a", "qos": 1, "reason_code": 135, "source": "api", "listeners": 0});
    eventually("a is refused", || listed(&daemon, "a"), |found| found.as_ref() == Some(&expected));
    eventually("b is granted", || listed(&daemon, "b").unwrap(), |found| found["granted_qos"] == 1);
    let reply = ending.reply();
    assert!([200, 503, 504].contains(&reply.status), "exactly one reply: {reply:?}");
}

#[test]
fn without_a_broker_a_subscribe_is_503_in_time() {
    let port = free_port();
    let daemon = Daemon::with(&format!(
        "[mqtt]\nport = {port}\nreconnect-max = 0.1\n[publish]\ntimeout = 0.5\n[[subscribe]]\ntopic = \"in\""
    ));
    daemon.wait_for("cannot connect");
    for (body, timeout) in [(r#"{"topic":"a","timeout":0.2}"#, 0.2), (r#"{"topic":"b"}"#, 0.5)] {
        let begun = Instant::now();
        let reply = daemon.connect().post("/subscribe", body.as_bytes());
        assert_eq!((reply.status, reply.code()), (503, 4), "{reply:?}");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        assert!(begun.elapsed() >= Duration::from_secs_f64(timeout), "it waits for the broker");
        assert_eq!(listed(&daemon, "a").or(listed(&daemon, "b")), None);
    }
    // a waiting request is granted when the broker is back
    let mut waiting = daemon.begin("/subscribe", r#"{"topic":"c","timeout":20}"#);
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    assert_granted(&waiting.reply(), "c", 0);
    for topic in ["a", "b", "c", "in"] {
        broker.publish(&["-t", topic, "-m", "x"]);
    }
    daemon.wait_for(&format!("{RECEIVED}in "));
    assert_eq!(daemon.lines_with(RECEIVED).len(), 2, "{:?}", daemon.lines_with(RECEIVED));
}

#[test]
fn without_a_suback_the_reply_is_504_and_late_messages_are_not_recorded() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE if packet.filters()[0] == "silent" => Vec::new(),
            SUBSCRIBE | UNSUBSCRIBE => answer_filters(packet, |_| None),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"in\"", broker.port()));
    daemon.wait_for("subscribed to in");
    let (of_the_file, _) = broker.wait_for(SUBSCRIBE);
    let body = br#"{"topic":"silent","timeout":0.5}"#;
    let reply = daemon.connect().post("/subscribe", body);
    assert_eq!((reply.status, reply.code()), (504, 7), "{reply:?}");
    assert_eq!(listed(&daemon, "silent"), None);
    let (unanswered, _) = broker.wait_for(SUBSCRIBE);
    broker.send(&answer_filters(&unanswered, |_| None));
    broker.send(&publish("silent", "late", unanswered.subscription_properties()));
    broker.send(&publish("in", "end", of_the_file.subscription_properties()));
    daemon.wait_for(&format!("{RECEIVED}in with payload: end"));
    assert_eq!(daemon.lines_with(RECEIVED).len(), 1, "{:?}", daemon.lines_with(RECEIVED));
    assert_eq!(listed(&daemon, "silent"), None);
}

#[test]
fn a_token_subscribes_within_its_filters_only() {
    let broker = Mosquitto::start();
    let (kitchen, publisher) =
        (Token::new("kitchen", "[]").reading(r#"["a/+", "b/#"]"#), Token::new("publisher", r##"["#"]"##));
    let daemon =
        Daemon::connected_with(&format!("[mqtt]\nport = {}\n{}{}", broker.port(), kitchen.table, publisher.table));
    let ask = |token: &Token, path, topic: &str| {
        let body = json!({ "topic": topic }).to_string();
        daemon.connect().request("POST", path, &[("Authorization", &token.bearer())], body.as_bytes())
    };
    for topic in ["a/+", "a/x", "b/#", "b", "b/c/+", "$share/g/a/+", "$share/g/b/#"] {
        assert_granted(&ask(&kitchen, "/subscribe", topic), topic, 0);
        for path in ["/subscribe", "/unsubscribe"] {
            let refused = ask(&publisher, path, topic);
            assert_eq!((refused.status, refused.code()), (403, 12), "{path} {topic}: {refused:?}");
            assert!(refused.error().contains("token `publisher`"), "{}", refused.error());
        }
        assert_eq!(ask(&kitchen, "/unsubscribe", topic).status, 200, "{topic}");
    }
    for topic in ["a/#", "a", "a/+/c", "a/x/y", "#", "+/x", "+/+", "c", "$share/g/a/#", "$share/a/+", "$SYS/#"] {
        for path in ["/subscribe", "/unsubscribe"] {
            let refused = ask(&kitchen, path, topic);
            assert_eq!((refused.status, refused.code()), (403, 12), "{path} {topic}: {refused:?}");
        }
    }
    for (method, path) in [("GET", "/subscriptions"), ("POST", "/subscribe"), ("POST", "/unsubscribe")] {
        assert_eq!(daemon.connect().request(method, path, &[], b"{").status, 401, "{path}");
    }
    let list = daemon.connect().request("GET", "/subscriptions", &[("Authorization", &kitchen.bearer())], b"");
    assert_eq!((list.status, list.json()), (200, json!({"code": 0, "subscriptions": []})), "no subscription is left");
}

/// Invalid bodies, and words of the error of each.
fn refusals() -> Vec<(String, &'static str)> {
    let with = |topic: Value| json!({ "topic": topic }).to_string();
    [
        (String::new(), "the body is empty"),
        ("hello".to_owned(), "not valid JSON"),
        ("[\"a\"]".to_owned(), "must be a JSON object"),
        ("\"a\"".to_owned(), "must be a JSON object"),
        ("{}".to_owned(), "`topic` is missing"),
        (with(json!(7)), "`topic` must be a string, not 7"),
        (with(Value::Null), "`topic` must be a string, not null"),
        (with(json!(["a"])), "`topic` must be a string, not an array"),
        (with(json!({"a": {"b": "c"}})), "`topic` must be a string, not an object"),
        (with(json!("")), "`topic`"),
        (with(json!("a#")), "`topic`"),
        (with(json!("#/a")), "`topic`"),
        (with(json!("a+/b")), "`topic`"),
        (with(json!("a\0b")), "U+0000"),
        (with(json!("a\tb")), "U+0009"),
        (with(json!("$share/g")), "`topic`"),
        (with(json!("$share//a")), "`topic`"),
        (with(json!("$share/+/a")), "`topic`"),
        (with(json!("a".repeat(65_536))), "65535"),
        (with(json!("/".repeat(128))), "128"),
        (r#"{"topic":"#.repeat(10_000), "not valid JSON"),
        (format!(r#"{{"topic":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000)), "`topic` must be a string"),
        (r#"{"topic":"a","topic":"b"}"#.to_owned(), "`topic` is there twice"),
        (r#"{"topic":"a","Topic":"b"}"#.to_owned(), "unknown field `Topic`"),
        (r#"{"topic":"a","timeout":0}"#.to_owned(), "`timeout`"),
        (r#"{"topic":"a","timeout":61}"#.to_owned(), "`timeout`"),
        (r#"{"topic":"a","timeout":"5"}"#.to_owned(), "`timeout`"),
    ]
    .into()
}

#[test]
fn every_refused_body_names_the_field_and_the_rule() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let only_subscribe = [
        (r#"{"topic":"a","qos":3}"#, "`qos` must be 0, 1 or 2, not 3"),
        (r#"{"topic":"a","qos":-1}"#, "`qos`"),
        (r#"{"topic":"a","qos":"1"}"#, "`qos` must be a whole number, not a string"),
        (r#"{"topic":"a","qos":null}"#, "`qos`"),
        (r#"{"topic":"a","qos":1.5}"#, "`qos`"),
        (r#"{"topic":"a","priority":3}"#, "unknown field `priority`"),
    ]
    .map(|(body, words)| (body.to_owned(), words));
    let unknown = (r#"{"topic":"a","qos":1}"#.to_owned(), "unknown field `qos`");
    let of_subscribe = refusals().into_iter().chain(only_subscribe).map(|case| ("/subscribe", case));
    let of_unsubscribe = refusals().into_iter().chain([unknown]).map(|case| ("/unsubscribe", case));
    for (path, (body, words)) in of_subscribe.chain(of_unsubscribe) {
        let reply = daemon.connect().post(path, body.as_bytes());
        let shown: String = body.chars().take(80).collect();
        assert_eq!((reply.status, reply.code()), (400, 3), "{path} {shown}: {reply:?}");
        assert!(reply.error().contains(words), "{path} {shown}: {}", reply.error());
    }
    daemon.publish(r#"{"topic":"end","msg":"x","qos":1}"#);
    assert!(broker.log_with("SUBSCRIBE from mqtt-bridge-").is_empty());
}

#[test]
fn methods_parameters_and_content_types_are_checked() {
    let daemon = Daemon::start(free_port());
    let request = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| -> Reply {
        daemon.connect().request(method, path, headers, body.as_bytes())
    };
    for (path, method, allowed, another) in [
        ("/subscribe", "POST", "POST", "GET"),
        ("/unsubscribe", "POST", "POST", "GET"),
        ("/subscriptions", "GET", "GET, HEAD", "POST"),
    ] {
        for other in [another, "PUT", "DELETE", "PATCH"] {
            let reply = request(other, path, &[], "");
            assert_eq!((reply.status, reply.code()), (405, 3), "{other} {path}: {reply:?}");
            assert_eq!(reply.header("allow"), Some(allowed), "{path}");
        }
        let reply = request(method, &format!("{path}?topic=a"), &[], r#"{"topic":"a"}"#);
        reply.assert_refused(400, 3, "this path takes no parameters, not `?topic=a`");
    }
    for path in ["/subscribe", "/unsubscribe"] {
        let reply = request("POST", path, &[("Content-Type", "text/plain")], r#"{"topic":"a"}"#);
        assert_eq!((reply.status, reply.code()), (415, 3), "{reply:?}");
    }
}

#[test]
fn a_filter_over_the_maximum_packet_size_is_logged() {
    // Maximum Packet Size (MQTT 5, 3.2.2.3.6)
    let broker = ScriptedBroker::start(|_, packet| Some(behave(packet, &[0x27, 0, 0, 0, 40])));
    let long = "a/filter/of/twenty-five/b";
    let config =
        format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"{long}\"\n[[subscribe]]\ntopic = \"b\"", broker.port());
    let daemon = Daemon::with(&config);
    let line = daemon.wait_for("not subscribed to ");
    let words = "the broker takes no packet of more than 40 bytes, and our SUBSCRIBE takes up to 41";
    assert_eq!(line, format!("warning: not subscribed to {long}: {words}"));
    daemon.wait_for("subscribed to b at");
    let ready = daemon.get("/readyz");
    let error = format!("subscription to {long} refused: packet too large (reason code 149)");
    assert_eq!((ready.status, ready.error()), (503, error), "{ready:?}");
    assert_eq!(daemon.lines_with("not subscribed").len(), 1, "{:?}", daemon.lines());
}
