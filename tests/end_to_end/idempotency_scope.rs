//! How far an idempotency key reaches: whose it is, for how long, and that no record shows it.

use serde_json::{Value, json};

use crate::idempotency::{ask, assert_repeated, is_replayed, publish};
use crate::requests::Setup;
use crate::sockets::pass;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::hook::Hook;
use crate::support::http::{Connection, Reply};
use crate::support::metrics::{figure, metrics};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::request;
use crate::support::scripted_broker::{PUBLISH, ScriptedBroker};
use crate::support::token::Token;
use crate::support::waiting::eventually;

fn message(topic: &str) -> Value {
    json!({"topic": topic, "msg": 1, "qos": 1})
}

#[test]
fn tokens_and_hooks_do_not_share_keys() {
    let broker = Mosquitto::start();
    let (one, two) = (Token::new("one", r#"["a"]"#), Token::new("two", r#"["a"]"#));
    let hook = Hook::new("door", "POST", "a", "");
    let tables = [&one.table, &two.table, &hook.table].map(String::as_str).concat();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{tables}", broker.port()));
    let mut subscriber = broker.subscribe("a", 3, "%p,");
    let by = |token: &Token| {
        let headers = [("Idempotency-Key", "k"), ("Authorization", &token.bearer())];
        daemon.connect().request("POST", "/publish", &headers, message("a").to_string().as_bytes())
    };
    let call = || daemon.connect().request("POST", &hook.path, &[("Idempotency-Key", "k")], b"1");
    for first in [&by(&one), &by(&two), &call()] {
        assert!(first.status == 200 && !is_replayed(first), "{first:?}");
    }
    for again in [&by(&one), &by(&two), &call()] {
        assert!(again.status == 200 && is_replayed(again), "{again:?}");
    }
    let again = call();
    assert_eq!(again.header("cache-control"), Some("no-store"));
    let other = daemon.connect().request("POST", &hook.path, &[("Idempotency-Key", "k")], b"2");
    assert_eq!((other.status, other.header("cache-control")), (422, Some("no-store")));
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"1,1,1,");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 3);
}

#[test]
fn a_repetition_counts_for_no_rate_but_needs_the_rights() {
    let broker = Mosquitto::start();
    let token = Token::new("one", r#"["a"]"#).with("rate = 0.001");
    let daemon = token.daemon(broker.port());
    let send = |key: &str, topic: &str, bearer: &str| {
        let headers = [("Idempotency-Key", key), ("Authorization", bearer)];
        daemon.connect().request("POST", "/publish", &headers, message(topic).to_string().as_bytes())
    };
    let first = send("k", "a", &token.bearer());
    assert_eq!(first.status, 200);
    assert_repeated(&first, &send("k", "a", &token.bearer()));
    assert_eq!(send("k", "a", "Bearer x").status, 401);
    assert_eq!(send("k", "b", &token.bearer()).status, 403);
    for _ in 0..2 {
        let refused = send("other", "a", &token.bearer());
        assert!(refused.status == 429 && !is_replayed(&refused), "a refusal is not kept: {refused:?}");
    }
}

#[test]
fn all_listeners_share_the_keys() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let ports = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let config = format!("[mqtt]\nport = {}\n", broker.port());
    let daemon =
        pass(&folder, &config, 1, &ports.each_ref().map(|port| format!("tcp:{port}")).each_ref().map(String::as_str));
    daemon.wait_for("connected to 127.0.0.1:");
    let send = |address: &str| {
        let body = message("a").to_string();
        Connection::open(address).request("POST", "/publish", &[("Idempotency-Key", "k")], body.as_bytes())
    };
    assert_repeated(&send(&ports[0]), &send(&ports[1]));
}

#[test]
fn pipelined_repetitions_are_answered_in_their_order() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let one = request("POST", "/publish", &[("Idempotency-Key", "k")], message("a").to_string());
    let mut connection = daemon.connect();
    connection.send(&one.repeat(5));
    let replies: Vec<Reply> = (0..5).map(|_| connection.reply()).collect();
    // a request of a connection begins when the earlier ones are answered
    for again in &replies[1..] {
        assert_repeated(&replies[0], again);
    }
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
}

#[test]
fn the_answer_of_a_device_is_repeated_and_the_request_is_not() {
    let setup = Setup::new();
    let send = |key: &str, body: &Value| ask(&setup.daemon, "POST", "/request", key, &body.to_string());
    let body = json!({"topic": "dev/echo", "msg": "hello"});
    let first = send("k", &body);
    assert_eq!((first.status, first.json()["payload"].as_str()), (200, Some("hello")));
    assert_repeated(&first, &send("k", &body));
    assert_eq!(send("k", &json!({"topic": "dev/echo", "msg": "other"})).status, 422);
    assert_eq!(setup.broker.log_with("'dev/echo'").iter().filter(|line| line.contains("Received PUBLISH")).count(), 1);
    // nobody has the request, and somebody may have the next one
    for _ in 0..2 {
        let nobody = send("n", &json!({"topic": "nobody", "msg": 1}));
        assert!(nobody.status == 404 && !is_replayed(&nobody), "{nobody:?}");
    }
}

#[test]
fn a_request_without_an_answer_in_time_is_not_sent_again() {
    let setup = Setup::new();
    let body = json!({"topic": "dev/silent", "msg": "x", "timeout": 0.3});
    let mut listener = setup.broker.subscribe("dev/silent", 1, "%p");
    let send = || ask(&setup.daemon, "POST", "/request", "k", &body.to_string());
    let first = send();
    assert_eq!(first.status, 504, "{first:?}");
    assert_repeated(&first, &send());
    listener.wait_for_end();
    assert_eq!(setup.broker.log_with("Received PUBLISH").iter().filter(|line| line.contains("dev/silent")).count(), 1);
}

#[test]
fn a_key_is_forgotten_after_its_time_and_above_their_number() {
    let broker = Mosquitto::start();
    let publish_table = "[publish]\nidempotency-ttl = 1\nidempotency-keys = 2";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{publish_table}", broker.port()));
    let send = |key: &str| publish(&daemon, key, &message("a"));
    for key in ["a", "b", "c"] {
        assert!(!is_replayed(&send(key)), "{key}");
    }
    assert!(is_replayed(&send("c")) && is_replayed(&send("b")));
    assert!(!is_replayed(&send("a")), "it made room for c");
    eventually("c is forgotten", || is_replayed(&send("c")), |is_replayed| !is_replayed);
}

#[test]
fn a_request_with_a_key_is_refused_while_as_many_others_run() {
    let broker = ScriptedBroker::withholding(&[]);
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[publish]\nidempotency-keys = 1", broker.port()));
    let mut first = daemon.connect();
    first.send(&request("POST", "/publish", &[("Idempotency-Key", "a")], message("a").to_string()));
    broker.wait_for(PUBLISH);
    let refused = publish(&daemon, "b", &message("a"));
    let words =
        "not sent: as many requests with an `Idempotency-Key` as `idempotency-keys` allows are not answered yet";
    refused.assert_refused(503, 15, words);
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn a_message_has_the_key_as_a_user_property_if_that_is_configured() {
    let broker = Mosquitto::start();
    let forward = "[publish]\nforward-idempotency-key = true";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{forward}", broker.port()));
    let mut subscriber = broker.subscribe("a", 4, "%P;");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("Idempotency-Key", "\"a b\""), ("traceparent", trace)];
    let single = daemon.connect().request("POST", "/publish", &headers, message("a").to_string().as_bytes());
    assert_eq!(single.status, 200);
    let bulk = json!([message("a"), message("a")]).to_string();
    assert_eq!(ask(&daemon, "POST", "/publish/bulk", "bulk", &bulk).status, 200);
    assert_eq!(daemon.publish(&message("a").to_string()).status, 200);
    subscriber.wait_for_end();
    let both = format!("traceparent:{trace} idempotency-key:a b");
    let expected = format!("{both};idempotency-key:bulk;idempotency-key:bulk;;");
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), expected);
}

#[test]
fn no_record_shows_a_key() {
    const SECRET: &str = "key-that-no-record-shows";
    let broker = ScriptedBroker::withholding(&[]);
    let log = "[log]\nlevel = \"debug\"";
    let folder = Folder::new();
    let outbox = format!("[outbox]\npath = \"{}/outbox\"", folder.path().display());
    let token = Token::new("t", r#"["a"]"#);
    let tables = format!("[mqtt]\nport = {}\n{log}\n{outbox}\n{}", broker.port(), token.table);
    let daemon = Daemon::connected_with(&tables);
    let send = |body: &Value| {
        let headers = [("Idempotency-Key", SECRET), ("Authorization", &token.bearer()), ("Prefer", "respond-async")];
        daemon.connect().request("POST", "/publish", &headers, body.to_string().as_bytes()).status
    };
    let short = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.1});
    let other = json!({"topic": "a", "msg": 2, "qos": 1});
    assert_eq!([send(&short), send(&short), send(&other)], [504, 504, 422]);
    let stored = json!({"topic": "a", "msg": 1, "qos": 1, "ttl": 10});
    assert_eq!(send(&stored), 422, "another request: it is stored");
    let shown = ["/status", "/metrics"].map(|path| {
        let reply = daemon.connect().request("GET", path, &[("Authorization", &token.bearer())], b"");
        String::from_utf8(reply.body).unwrap()
    });
    let told = [&daemon.lines()[..], &shown].concat();
    assert!(told.iter().any(|line| line.contains("is answered with 422")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains(SECRET)), "{told:?}");
    let file = std::fs::read(folder.path().join("outbox")).unwrap();
    assert!(!file.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()), "nor the file");
}

/// The answers of devices are as long as packets may be, and only some of them are kept.
#[test]
fn many_keys_and_long_answers_take_little_memory() {
    const KEYS: usize = 500;
    let setup = Setup::with("[publish]\nidempotency-keys = 200");
    let long = "x".repeat(900_000);
    let body = json!({"topic": "dev/echo", "msg": long}).to_string();
    let send = |key: usize| ask(&setup.daemon, "POST", "/request", &format!("long-{key}"), &body);
    for key in 0..60 {
        assert_eq!(send(key).status, 200);
    }
    assert!(is_replayed(&send(59)) && !is_replayed(&send(0)), "the oldest made room");
    let peak = setup.daemon.resources().peak_kib;
    assert!(peak < 100 * 1024, "{} MiB, for answers of 54 MB of which 16 MiB are kept", peak / 1024);
    for key in 0..KEYS {
        assert_eq!(publish(&setup.daemon, &format!("short-{key}"), &message("a")).status, 200);
    }
    let metrics = metrics(setup.daemon.address());
    assert_eq!(figure(&metrics, "mqtt_bridge_idempotency_keys"), "200");
    assert_eq!(figure(&metrics, "mqtt_bridge_repetitions_total"), "1");
}
