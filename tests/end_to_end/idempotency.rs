//! Idempotency keys: what a repetition of a request gets, on each way of publishing.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{PUBACK, PUBLISH, ScriptedBroker, acknowledgement, acknowledgement_with, behave};
use crate::support::waiting::eventually;

/// Sends a request with this key.
pub fn ask(daemon: &Daemon, method: &str, target: &str, key: &str, body: &str) -> Reply {
    daemon.connect().request(method, target, &[("Idempotency-Key", key)], body.as_bytes())
}

pub fn publish(daemon: &Daemon, key: &str, body: &Value) -> Reply {
    ask(daemon, "POST", "/publish", key, &body.to_string())
}

pub fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == Some("true")
}

/// Asserts that the second reply is the first one again.
#[track_caller]
pub fn assert_repeated(first: &Reply, second: &Reply) {
    assert!(!is_replayed(first) && is_replayed(second), "{first:?} {second:?}");
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!(first.header("content-type"), second.header("content-type"));
    assert_eq!(first.header("cache-control"), second.header("cache-control"));
}

#[test]
fn a_repetition_gets_the_first_answer_and_publishes_nothing() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("#", 6, "%t=%p,");
    let bulk = json!([{"topic": "b", "msg": 1, "qos": 1}, {"topic": "b", "msg": 2}]).to_string();
    let emqx = json!({"topic": "e", "payload": "1", "qos": 1}).to_string();
    let emqx_bulk = format!("[{emqx}]");
    for (method, target, body) in [
        ("POST", "/publish?", r#"{"topic":"p","msg":1,"qos":1}"#),
        ("POST", "/publish/bulk", &bulk),
        ("PUT", "/topics/t?qos=1", "1"),
        ("POST", "/api/v5/publish", &emqx),
        ("POST", "/api/v5/publish/bulk", &emqx_bulk),
    ] {
        let target = target.trim_end_matches('?');
        let first = ask(&daemon, method, target, target, body);
        assert_eq!(first.status, 200, "{target}: {first:?}");
        assert_repeated(&first, &ask(&daemon, method, target, target, body));
    }
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"p=1,b=1,b=2,t=1,e=1,e=1,");
}

#[test]
fn a_repetition_may_have_another_timeout_and_another_trace_and_another_form_of_the_key() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let send = |key: &str, trace: &str, body: &Value| {
        let headers = [("Idempotency-Key", key), ("traceparent", trace)];
        daemon.connect().request("POST", "/publish", &headers, body.to_string().as_bytes())
    };
    let first = send("k", "00-1", &json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 3}));
    assert_repeated(&first, &send("\"k\"", "00-2", &json!({"timeout": 9, "qos": 1, "payload": "1", "topic": "a"})));
}

#[test]
fn another_request_with_the_same_key_is_refused() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let first = json!({"topic": "a", "msg": 1, "qos": 1});
    assert_eq!(publish(&daemon, "k", &first).status, 200);
    let words = "not sent: another request had this `Idempotency-Key`: each request needs its own, and a repetition \
                 must be the same request";
    for other in [
        json!({"topic": "a", "msg": 2, "qos": 1}),
        json!({"topic": "b", "msg": 1, "qos": 1}),
        json!({"topic": "a", "msg": 1, "qos": 2}),
        json!({"topic": "a", "msg": 1, "qos": 1, "retain": true}),
        json!({"topic": "a", "msg": 1, "qos": 1, "properties": {"content_type": "x"}}),
        json!({"topic": "a", "msg": 1, "qos": 1, "properties": {"user_properties": {"x": "y"}}}),
    ] {
        publish(&daemon, "k", &other).assert_refused(422, 3, words);
    }
    ask(&daemon, "POST", "/topics/a?qos=1", "k", "1").assert_refused(422, 3, words);
    ask(&daemon, "POST", "/publish/bulk", "k", &json!([first]).to_string()).assert_refused(422, 3, words);
    let emqx = ask(&daemon, "POST", "/api/v5/publish", "k", r#"{"topic":"a","payload":"1","qos":1}"#);
    assert_eq!((emqx.status, emqx.json()["message"].as_str()), (422, Some(words)));
    assert!(is_replayed(&publish(&daemon, "k", &first)), "the first one is kept");
}

#[test]
fn a_repetition_is_refused_while_the_first_request_runs() {
    let broker = ScriptedBroker::withholding(&[]);
    let daemon = Daemon::connected(broker.port());
    let message = json!({"topic": "a", "msg": 1, "qos": 1}).to_string();
    let mut first = daemon.connect();
    first.send(&crate::support::request::request("POST", "/publish", &[("Idempotency-Key", "k")], &message));
    let (packet, _) = broker.wait_for(PUBLISH);
    let second = ask(&daemon, "POST", "/publish", "k", &message);
    second.assert_refused(409, 3, "not sent again: the first request with this `Idempotency-Key` is not answered yet");
    assert_eq!(second.header("retry-after"), Some("1"));
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    let first = first.reply();
    assert_eq!(first.status, 200);
    assert_repeated(&first, &ask(&daemon, "POST", "/publish", "k", &message));
    assert!(broker.others().iter().all(|packet| packet.kind != PUBLISH));
}

#[test]
fn what_was_certainly_not_sent_may_be_tried_again() {
    let port = free_port();
    let daemon = Daemon::start(port);
    let message = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.1});
    for _ in 0..2 {
        let refused = publish(&daemon, "k", &message);
        assert!(refused.status == 503 && !is_replayed(&refused), "{refused:?}");
    }
    let bulk = json!([{"topic": "a", "msg": 1, "qos": 1}, {"topic": "b", "msg": 1, "qos": 1}]).to_string();
    for _ in 0..2 {
        let refused = ask(&daemon, "POST", "/publish/bulk?timeout=0.1", "b", &bulk);
        assert!(refused.status == 207 && !is_replayed(&refused), "{refused:?}");
    }
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    eventually("a connection", || daemon.get("/readyz").status, |status| *status == 200);
    let sent = publish(&daemon, "k", &message);
    assert_eq!(sent.status, 200);
    assert_repeated(&sent, &publish(&daemon, "k", &message));
    drop(broker);
}

#[test]
fn a_refusal_by_the_broker_frees_the_key() {
    let broker = ScriptedBroker::start({
        let mut refused = false;
        move |_, packet| {
            if packet.kind != PUBLISH {
                return Some(behave(packet, &[]));
            }
            let code = if std::mem::replace(&mut refused, true) { 0 } else { 135 };
            Some(acknowledgement_with(PUBACK, packet.identifier(), code))
        }
    });
    let daemon = Daemon::connected(broker.port());
    let message = json!({"topic": "a", "msg": 1, "qos": 1});
    assert_eq!(publish(&daemon, "k", &message).status, 403);
    let sent = publish(&daemon, "k", &message);
    assert!(sent.status == 200 && !is_replayed(&sent), "{sent:?}");
}

/// A daemon whose broker acknowledges nothing by itself, and the reply to a publish with the key `k`, which is 504.
fn unanswered(target: &str, body: &str) -> (ScriptedBroker, Daemon, Reply, [u8; 2]) {
    let broker = ScriptedBroker::withholding(&[]);
    let daemon = Daemon::connected(broker.port());
    let reply = ask(&daemon, "POST", target, "k", body);
    let (packet, _) = broker.wait_for(PUBLISH);
    (broker, daemon, reply, packet.identifier())
}

#[test]
fn a_504_becomes_the_200_when_the_acknowledgement_comes_late() {
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.2}).to_string();
    let (broker, daemon, first, identifier) = unanswered("/publish", &body);
    assert_eq!(first.status, 504);
    assert_repeated(&first, &ask(&daemon, "POST", "/publish", "k", &body));
    broker.send(&acknowledgement(PUBACK, identifier));
    let ask = || ask(&daemon, "POST", "/publish", "k", &body);
    let late = eventually("the late answer", ask, |reply| reply.status != 504);
    assert!(is_replayed(&late), "{late:?}");
    assert_eq!((late.status, late.json()), (200, json!({"code": 0, "packet_id": 1, "reason_code": 0})));
    assert!(broker.others().iter().all(|packet| packet.kind != PUBLISH), "sent once");
}

#[test]
fn a_504_becomes_a_refusal_that_comes_late() {
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.2}).to_string();
    let (broker, daemon, first, identifier) = unanswered("/publish", &body);
    assert_eq!(first.status, 504);
    broker.send(&acknowledgement_with(PUBACK, identifier, 135));
    let ask = || ask(&daemon, "POST", "/publish", "k", &body);
    let late = eventually("the late answer", ask, |reply| reply.status != 504);
    assert_eq!((late.status, is_replayed(&late)), (403, true));
}

#[test]
fn the_item_of_a_bulk_that_is_acknowledged_late_is_replaced() {
    let body =
        json!([{"topic": "a", "msg": 1, "qos": 1}, {"topic": "b", "msg": 1}, {"topic": "c", "msg": 1, "qos": 1}]);
    let (broker, daemon, first, identifier) = unanswered("/publish/bulk?timeout=0.3", &body.to_string());
    let codes = |reply: &Reply| {
        let results = reply.json()["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["code"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((first.status, codes(&first)), (207, vec![7, 0, 7]));
    broker.send(&acknowledgement(PUBACK, identifier));
    let ask = || ask(&daemon, "POST", "/publish/bulk?timeout=0.3", "k", &body.to_string());
    let late = eventually("the late answer", ask, |reply| codes(reply) != [7, 0, 7]);
    assert_eq!((late.status, codes(&late), is_replayed(&late)), (207, vec![0, 0, 7], true));
}

#[test]
fn a_key_that_breaks_the_rule_is_refused_and_not_repeated_in_the_reply() {
    let daemon = Daemon::start(free_port());
    let words = "`Idempotency-Key` must have 1 to 255 characters: visible ones of ASCII without `\"`, `,` and `;`, or a \
                 string in quotes (RFC 8941, 3.3.3)";
    for key in ["", "a b", "a,b", "\"a", &"k".repeat(256)] {
        publish(&daemon, key, &json!({"topic": "a", "msg": 1})).assert_refused(400, 3, words);
    }
}
