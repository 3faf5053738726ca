//! `POST /publish/bulk`: many messages in one request; all must be valid, and each has its result.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::request;
use crate::support::scripted_broker::{PUBLISH, ScriptedBroker, behave};
use crate::support::token::Token;
use crate::support::waiting::eventually;

fn bulk(daemon: &Daemon, path: &str, items: &Value) -> Reply {
    daemon.connect().post(path, items.to_string().as_bytes())
}

#[test]
fn items_are_published_in_order_and_each_has_its_own_result() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("a/#", 4, "%t=%x,");
    let items = json!([
        {"topic": "a/1", "msg": "one", "qos": 1},
        {"topic": "nobody", "payload": {"x": 1}, "qos": 1},
        {"topic": "a/2", "msg": "AP/+", "payload_encoding": "base64", "qos": 1, "retain": true},
        {"topic": "a/3", "msg": null, "qos": 1, "properties": {"content_type": "x"}},
        {"topic": "a/0", "msg": 0},
    ]);
    let reply = bulk(&daemon, "/publish/bulk?timeout=5", &items);
    let of = |packet_id: u16, reason_code: u8| json!({"code": 0, "packet_id": packet_id, "reason_code": reason_code});
    let results = json!([of(1, 0), of(2, 16), of(3, 0), of(4, 0), {"code": 0}]);
    assert_eq!((reply.status, reply.json()), (200, json!({"code": 0, "results": results})));
    assert!(reply.body.starts_with(br#"{"code":0,"results":[{"code":0,"packet_id":1"#), "{reply:?}");
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"a/1=6f6e65,a/2=00fffe,a/3=,a/0=30,");
}

#[test]
fn a_bulk_of_1000_is_published_and_one_of_1001_is_refused() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("n", 1000, "%p,");
    let items = |count: u32| (0..count).map(|n| json!({"topic": "n", "msg": n, "qos": 1})).collect::<Value>();
    bulk(&daemon, "/publish/bulk", &items(1001)).assert_refused(400, 3, "more than 1000 items at line 1 column 31924");
    let reply = bulk(&daemon, "/publish/bulk", &items(1000));
    let results = reply.json()["results"].as_array().unwrap().len();
    assert_eq!((reply.status, reply.code(), results), (200, 0, 1000));
    subscriber.wait_for_end();
    let expected = (0..1000).map(|n| format!("{n},")).collect::<Vec<_>>().concat();
    assert!(subscriber.stdout() == expected.as_bytes(), "in order, and nothing of the 1001");
}

#[test]
fn one_invalid_item_is_named_and_nothing_is_sent() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("#", 1, "%t");
    let good = r#"{"topic":"a","msg":1,"qos":1},"#.repeat(999);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let base64 = "must be base64 with its padding (RFC 4648, 4), and is not";
    let wildcard = "must not contain the wildcard `#`: one publishes to a topic name, not to a topic filter";
    let known = "there are `topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain` and `properties`";
    let mut connection = daemon.connect();
    for (item, words) in [
        ("null", "must be an object, not null"),
        (&deep, "must be an object, not an array"),
        ("{}", "field `topic` is missing"),
        (r#"{"topic":"a"}"#, "field `msg` is missing"),
        (r#"{"topic":"a/%23","msg":1,"qos":-1}"#, "`qos` must be 0, 1 or 2, not -1"),
        (r#"{"topic":"a/#","msg":1}"#, &format!("`topic` {wildcard}")),
        (r#"{"topic":"\u0000","msg":1}"#, "`topic` must not contain the character U+0000"),
        (r#"{"topic":"a","msg":"YQ","payload_encoding":"base64","retain":true}"#, &format!("`msg` {base64}")),
        (r#"{"topic":"a","payload":"%","payload_encoding":"base64"}"#, &format!("`payload` {base64}")),
        (
            r#"{"topic":"a","msg":1,"properties":{"response_topic":"a/#"}}"#,
            &format!("`properties` `response_topic` {wildcard}"),
        ),
        (
            r#"{"topic":"a","msg":1,"properties":{"message_expiry_interval":4294967296}}"#,
            "`properties` `message_expiry_interval` must be a number of seconds from 0 to 4294967295, not 4294967296",
        ),
        (
            r#"{"topic":"a","msg":1,"timeout":1}"#,
            "there is one `timeout` for all items, and it stands behind the path: `?timeout=`",
        ),
        (r#"{"topic":"a","msg":1,"\u001b":1}"#, &format!("unknown field `\\x1b`: {known}")),
        (r#"{"topic":"a","msg":1,"msg":2}"#, "field `msg` is there twice at line 1 column 29"),
    ] {
        let reply = connection.post("/publish/bulk", format!("[{good}{item}]").as_bytes());
        reply.assert_refused(400, 3, &format!("item 999: {words}"));
    }
    connection.post("/publish", br#"{"topic":"marker","msg":1}"#).assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"marker", "nothing else was published");
}

#[test]
fn bodies_other_than_arrays_and_invalid_parameters_are_refused() {
    let daemon = Daemon::start(free_port());
    let item = r#"[{"topic":"a","msg":1}]"#;
    let deep = "[".repeat(500_000);
    let seconds = "must be a number of seconds above 0 and up to 60";
    for (path, body, words) in [
        ("/publish/bulk", "", "the body is empty: it must be a JSON array"),
        ("/publish/bulk", "[]", "the array is empty: it must have an item"),
        ("/publish/bulk", r#"{"topic":"a","msg":1}"#, "the body must be a JSON array"),
        ("/publish/bulk", "[{},", "the body is not valid JSON: EOF while parsing a value at line 1 column 4"),
        ("/publish/bulk", &deep, "the body is not valid JSON: EOF while parsing a list at line 1 column 500000"),
        ("/publish/bulk?timeout=0", item, &format!("`timeout` {seconds}, not 0")),
        ("/publish/bulk?timeout=60.1", item, &format!("`timeout` {seconds}, not 60.1")),
        ("/publish/bulk?timeout=1&timeout=1", item, "parameter `timeout` is there twice"),
        ("/publish/bulk?timeout=%FF", item, "`timeout` is not UTF-8 when it is decoded"),
        ("/publish/bulk?qos=1", item, "unknown parameter `qos`: there are `timeout` and `ttl`"),
    ] {
        daemon.connect().post(path, body.as_bytes()).assert_refused(400, 3, words);
    }
    daemon.get("/publish/bulk").assert_refused(405, 3, "the method must be POST");
    let text = daemon.connect().request("POST", "/publish/bulk", &[("Content-Type", "text/plain")], b"[]");
    assert_eq!(text.status, 415);
}

#[test]
fn failures_give_207_and_keep_the_order_of_the_items() {
    let broker = Mosquitto::on_port(free_port(), "allow_anonymous true\nretain_available false\nmax_packet_size 500");
    let daemon = Daemon::connected(broker.port());
    let items = json!([
        {"topic": "a", "msg": "x", "qos": 1},
        {"topic": "a", "msg": "x".repeat(500), "qos": 1},
        {"topic": "a", "msg": "x", "qos": 1, "retain": true},
        {"topic": "a", "msg": "x", "qos": 1},
    ]);
    let reply = bulk(&daemon, "/publish/bulk", &items);
    assert_eq!((reply.status, reply.code()), (207, 9), "{reply:?}");
    assert_eq!(
        reply.json()["results"],
        json!([
            {"code": 0, "packet_id": 1, "reason_code": 16},
            {"code": 9, "error": "not sent: an MQTT packet of 509 bytes is over the limit of 500"},
            {"code": 10, "error": "not sent: this broker does not support `retain`"},
            {"code": 0, "packet_id": 2, "reason_code": 16},
        ])
    );
}

#[test]
fn without_a_broker_each_item_is_reported_as_not_sent() {
    let daemon = Daemon::start(free_port());
    let mut connection = daemon.connect();
    let body = r#"[{"topic":"a","msg":1},{"topic":"b","msg":2}]"#;
    connection.send(&request("POST", "/publish/bulk?timeout=0.1", &[("Connection", "close")], body));
    let answer = String::from_utf8(connection.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 207 Multi-Status\r\n"), "{answer}");
    let one = r#"{"code":4,"error":"not sent: there was no connection to the broker within the timeout"}"#;
    assert!(answer.ends_with(&format!("\r\n\r\n{{\"code\":4,\"results\":[{one},{one}]}}")), "{answer}");
}

#[test]
fn one_timeout_holds_for_all_items_and_acknowledged_ones_count() {
    let mut published = 0;
    let broker = ScriptedBroker::start(move |_, packet| {
        published += usize::from(packet.kind == PUBLISH);
        let answers = packet.kind != PUBLISH || published <= 2;
        Some(if answers { behave(packet, &[]) } else { Vec::new() })
    });
    let daemon = Daemon::connected(broker.port());
    let items = (0..4).map(|n| json!({"topic": "a", "msg": n, "qos": 1})).collect::<Value>();
    let start = Instant::now();
    let reply = bulk(&daemon, "/publish/bulk?timeout=3", &items);
    // the two unacknowledged items share one timeout
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let codes: Vec<_> = reply.json()["results"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert_eq!((reply.status, reply.code(), codes), (207, 7, vec![0.into(), 0.into(), 7.into(), 7.into()]));
}

#[test]
fn a_token_must_allow_all_topics_and_messages_of_a_bulk() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["kitchen/#"]"#).with("rate = 2");
    let daemon = token.daemon(broker.port());
    let mut subscriber = broker.subscribe("#", 21, "%p,");
    let bearer = token.bearer();
    let post = |path: &str, items: &Value, headers: &[_]| {
        daemon.connect().request("POST", path, headers, items.to_string().as_bytes())
    };
    let with_token = [("Authorization", bearer.as_str())];
    let items = |count: usize| vec![json!({"topic": "kitchen/a", "msg": "x", "qos": 1}); count];
    let mixed = [items(1), vec![json!({"topic": "cellar", "msg": "x"})], items(1)].concat();
    post("/publish/bulk", &mixed.into(), &with_token).assert_refused(
        403,
        12,
        "item 1: not sent: token `kitchen` may not publish to `cellar`",
    );
    assert_eq!(post("/publish/bulk", &items(1).into(), &[]).status, 401);
    assert_eq!(post("/publish", &items(1)[0], &with_token).status, 200, "refusals do not count towards the rate");
    post("/publish/bulk", &items(20).into(), &with_token).assert_refused(
        429,
        15,
        "not sent: token `kitchen` is over its rate",
    );
    // wait until the bucket is full again
    let ask = || post("/publish/bulk", &items(20).into(), &with_token);
    let reply = eventually("a full bucket", ask, |reply| reply.status != 429);
    assert_eq!((reply.status, reply.code()), (200, 0), "more than fit into a full one: {reply:?}");
    let in_debt = post("/publish", &items(1)[0], &with_token);
    in_debt.assert_refused(429, 15, "not sent: token `kitchen` is over its rate");
    let seconds: u64 = in_debt.header("retry-after").unwrap().parse().unwrap();
    assert!((9..=10).contains(&seconds), "{seconds}");
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), "x,".repeat(21).as_bytes());
}
