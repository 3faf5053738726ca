//! `traceparent`, `tracestate` and the `ce-` headers of a request become user properties, on every way of publishing.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::hook::Hook;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;

const CONTEXT: [(&str, &str); 5] = [
    ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", "a=1"),
    ("ce-specversion", "1.0"),
    ("CE-Source", "/%C3%BC"),
    ("X-Other", "x"),
];
const EXPECTED: &str =
    "traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 tracestate:a=1 specversion:1.0 source:/ü";

/// The ways of publishing: path, body.
fn ways(hook: &Hook) -> [(String, &'static str); 8] {
    let message = r#"{"topic":"a","msg":"x"}"#;
    let emqx = r#"{"topic":"a","payload":"x"}"#;
    [
        ("/publish".to_owned(), message),
        ("/publish/bulk".to_owned(), r#"[{"topic":"a","msg":"x"}]"#),
        ("/topics/a".to_owned(), "x"),
        ("/api/v5/publish".to_owned(), emqx),
        ("/api/v5/publish/bulk".to_owned(), r#"[{"topic":"a","payload":"x"}]"#),
        (hook.path.clone(), "x"),
        ("/request".to_owned(), r#"{"topic":"a","msg":"x","response_topic":"r","timeout":0.1}"#),
        ("/publish".to_owned(), r#"{"topic":"a","msg":"x","properties":{"user_properties":[["source","own"]]}}"#),
    ]
}

#[test]
fn every_way_of_publishing_passes_on_a_trace_and_the_attributes_of_an_event() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "a", "");
    let daemon = hook.daemon(broker.port());
    for (path, body) in ways(&hook) {
        let mut subscriber = broker.subscribe("a", 1, "%P|%p");
        daemon.connect().request("POST", &path, &CONTEXT, body.as_bytes());
        subscriber.wait_for_end();
        let got = String::from_utf8(subscriber.stdout()).unwrap();
        let own = format!("source:own {}", EXPECTED.replace(" source:/ü", ""));
        let expected = if body.contains("own") { &own } else { EXPECTED };
        assert_eq!(got, format!("{expected}|x"), "{path}");
    }
}

#[test]
fn in_mqtt_3_1_1_the_context_is_left_out_without_an_error() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "a", "");
    let protocol = "protocol = \"3.1.1\"";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{protocol}\n{}", broker.port(), hook.table));
    for (path, body) in ways(&hook).into_iter().filter(|(_, body)| !body.contains("own")) {
        let mut subscriber = broker.subscribe("a", 1, "%P|%p");
        daemon.connect().request("POST", &path, &CONTEXT, body.as_bytes());
        subscriber.wait_for_end();
        assert_eq!(subscriber.stdout(), b"|x", "{path}");
    }
}

#[test]
fn a_context_that_breaks_a_rule_is_400_and_publishes_nothing() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "a", "");
    let daemon = hook.daemon(broker.port());
    for (path, body) in ways(&hook) {
        let reply = daemon.connect().request("POST", &path, &[("ce-id", "%00")], body.as_bytes());
        let text = String::from_utf8(reply.body).unwrap();
        assert!(reply.status == 400 && text.contains("header `ce-id` must not contain the character U+0000"), "{text}");
    }
    let pairs = vec![r#"["a","b"]"#; 100].join(",");
    let full = format!(r#"{{"topic":"a","msg":"x","properties":{{"user_properties":[{pairs}]}}}}"#);
    daemon.connect().request("POST", "/publish", &[], full.as_bytes()).assert_published();
    let error = "the headers of a trace or an event are over the limit of 100 user properties";
    daemon.connect().request("POST", "/publish", &CONTEXT, full.as_bytes()).assert_refused(400, 3, error);
    let bulk = daemon.connect().request("POST", "/publish/bulk", &CONTEXT, format!("[{full}]").as_bytes());
    bulk.assert_refused(400, 3, &format!("item 0: {error}"));
    broker.wait_for("Received PUBLISH");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
}

#[test]
fn curl_sends_an_event_of_cloudevents_in_binary_mode() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("events/1", 1, "%C|%P|%p");
    let url = format!("http://{}/topics/events/1", daemon.address());
    let headers = ["-H", "ce-id: 1", "-H", "ce-type: a.b", "-H", "Content-Type: application/json"];
    let mut curl = Process::start(Command::new("curl").arg("-sS").args(headers).args(["-d", "{}", &url]));
    assert!(curl.wait_for_end().success());
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"application/json|id:1 type:a.b|{}");
}
