//! The interface of EMQX: a client written for it needs only another address.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::clients::python;
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

const PUBLISH: &str = "/api/v5/publish";
const BULK: &str = "/api/v5/publish/bulk";

fn post(daemon: &Daemon, path: &str, body: &str) -> Reply {
    daemon.connect().post(path, body.as_bytes())
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, reason_code: u8, message: &str) {
    let body = json!({"reason_code": reason_code, "message": message});
    assert_eq!((reply.status, reply.json()), (status, body));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn pythons_requests_posts_the_documented_examples_unchanged() {
    let broker = Mosquitto::start();
    let token = Token::new("ee26b0dd4af7e749", r##"["#"]"##);
    let daemon = token.daemon(broker.port());
    let mut a = broker.subscribe("t/a", 2, "%p.");
    let mut b = broker.subscribe("t/b", 2, "%p.");
    let mut full = broker.subscribe("api/example/topic", 1, "%p|%q|%r|%C|%D|%F|%P|%R");
    let arguments = [daemon.address(), "ee26b0dd4af7e749", &token.secret];
    let mut client = Process::start(&mut python("emqx.py", &arguments));
    assert!(client.wait_for_end().success(), "{}", String::from_utf8_lossy(&client.stdout()));
    for (subscriber, expected) in [
        (&mut a, "Hello EMQX.Hello EMQX."),
        (&mut b, "Hi EMQX.Hi EMQX."),
        (&mut full, "hello emqx api|0|0|text/plain|string|0|foo:bar|some_other_topic"),
    ] {
        subscriber.wait_for_end();
        assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), expected);
    }
}

#[test]
fn curl_with_the_documented_user_and_password_publishes() {
    let broker = Mosquitto::start();
    let token = Token::new("app_id", r##"["#"]"##);
    let daemon = token.daemon(broker.port());
    let user = format!("app_id:{}", token.secret);
    let body = r#"{"topic": "t/a","qos": 1,"payload": "Hello EMQX"}"#;
    for (path, expected) in [(PUBLISH, "202 no_matching_subscribers"), ("/publish", "400 ")] {
        let url = format!("http://{}{path}", daemon.address());
        let json = ["-H", "Content-Type: application/json", "-w", "%{http_code}"];
        let body = if path == PUBLISH { body } else { "{}" };
        let mut curl = Process::start(Command::new("curl").args(["-sS", "-u", &user, "-d", body]).args(json).arg(&url));
        assert!(curl.wait_for_end().success());
        let answer = String::from_utf8(curl.stdout()).unwrap();
        let (status, words) = expected.split_once(' ').unwrap();
        assert!(answer.ends_with(status) && answer.contains(words), "{answer}");
    }
    assert!(daemon.lines_with(&token.secret).is_empty(), "{:?}", daemon.lines());
}

#[test]
fn every_refused_body_has_a_reason_code_and_a_message() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("#", 1, "%t");
    let deep = format!(r#"{{"topic":"a","payload":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let deep_properties =
        format!(r#"{{"topic":"a","payload":"x","properties":{}}}"#, r#"{"user_properties":"#.repeat(10_000));
    let wildcard = "`topic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter";
    let known = "there are `topic`, `payload`, `payload_encoding` (or `encoding`), `qos`, `retain`, `properties` and `clientid`";
    let base64 = "`payload` must be base64 with its padding (RFC 4648, 4), and is not";
    for (body, reason_code, message) in [
        ("", 131, "the body is empty: it must be a JSON object"),
        ("[]", 131, "the body must be a JSON object"),
        ("{", 131, "the body is not valid JSON: EOF while parsing an object at line 1 column 1"),
        (r#"{"payload":"x"}"#, 131, "field `topic` is missing"),
        (r#"{"topic":"a"}"#, 131, "field `payload` is missing"),
        (r#"{"topic":"a/+","payload":"x"}"#, 144, wildcard),
        (r#"{"topic":"","payload":"x"}"#, 144, "`topic` must not be empty"),
        (r#"{"topic":"\u0000","payload":"x"}"#, 144, "`topic` must not contain the character U+0000"),
        (r#"{"topic":"a","payload":1}"#, 131, "`payload` must be a string, not 1"),
        (&deep, 131, "`payload` must be a string, not an array"),
        (r#"{"topic":"a","payload":"YQ","payload_encoding":"base64","retain":true}"#, 131, base64),
        (r#"{"topic":"a","payload":"x","qos":3}"#, 131, "`qos` must be 0, 1 or 2, not 3"),
        (
            r#"{"topic":"a","payload":"x","properties":{"response_topic":"a/+"}}"#,
            131,
            &wildcard.replace("`topic`", "`properties` `response_topic`"),
        ),
        (r#"{"topic":"a","payload":"x","\u001b":1}"#, 131, &format!("unknown field `\\x1b`: {known}")),
        (r#"{"topic":"a","payload":"x","topic":"b"}"#, 131, "field `topic` is there twice at line 1 column 39"),
    ] {
        assert_refused(&post(&daemon, PUBLISH, body), 400, reason_code, message);
    }
    assert_eq!(post(&daemon, PUBLISH, &deep_properties).status, 400);
    let item = r#"{"topic":"a","payload":"x","qos":1},"#;
    for (body, reason_code, message) in [
        ("{}".to_owned(), 131, "the body must be a JSON array"),
        ("[]".to_owned(), 131, "the array is empty: it must have an item"),
        (format!("[{}{{\"topic\":\"a/+\",\"payload\":\"x\"}}]", item.repeat(3)), 144, &*format!("item 3: {wildcard}")),
        (format!("[{item}7]"), 131, "item 1: must be an object, not 7"),
        (format!("[{}0]", item.repeat(1000)), 131, "more than 1000 items at line 1 column 36003"),
    ] {
        assert_refused(&post(&daemon, BULK, &body), 400, reason_code, message);
    }
    assert_refused(
        &post(&daemon, "/api/v5/publish?qos=1", "{}"),
        400,
        131,
        "this path takes no parameters, not `?qos=1`",
    );
    assert_refused(&daemon.connect().request("PUT", BULK, &[], b"[]"), 405, 131, "the method must be POST");
    let text = daemon.connect().request("POST", PUBLISH, &[("Content-Type", "text/plain")], b"{}");
    assert_refused(&text, 415, 131, "`Content-Type` must be `application/json` in UTF-8, not `text/plain`");
    daemon.publish(r#"{"topic":"marker","msg":1}"#).assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"marker", "nothing else was published");
}

#[test]
fn failures_have_the_usual_status_and_503_in_bulk() {
    let daemon =
        Daemon::with(&format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.1\n[http]\nmax-body = 2000", free_port()));
    let words = "not sent: there was no connection to the broker within the timeout";
    let one = r#"{"topic":"a","payload":"x","qos":1}"#;
    let away = post(&daemon, PUBLISH, one);
    assert_refused(&away, 503, 131, words);
    assert_eq!(away.header("retry-after"), Some("1"));
    let both = post(&daemon, BULK, &format!("[{one},{one}]"));
    let result = json!({"reason_code": 131, "message": words});
    assert_eq!((both.status, both.json()), (503, json!([result, result])));
    let mut connection = daemon.connect();
    connection.send(b"POST /api/v5/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2001\r\n\r\n");
    assert_refused(&connection.reply(), 413, 151, "not sent: the body is over the limit of 2000 bytes");
    let mut unsound = daemon.connect();
    unsound.send(b"POST /api/v5/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n");
    assert_refused(&unsound.reply(), 400, 131, "`Content-Length` must be a number, not `x`");
}

#[test]
fn bearer_and_basic_authenticate_on_every_path() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["kitchen/#"]"#).with("rate = 0.01");
    let daemon = token.daemon(broker.port());
    let basic = |user: &str| {
        use base64::Engine;
        let pair = format!("{user}:{}", token.secret);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    let request = |path: &str, authorization: &str, topic: &str| {
        let body = json!({"topic": topic, "payload": "x", "qos": 1}).to_string();
        daemon.connect().request("POST", path, &[("Authorization", authorization)], body.as_bytes())
    };
    for authorization in ["", "Basic", "Basic YTpi", &basic("cellar"), "Bearer x"] {
        let reply = request(PUBLISH, authorization, "kitchen/a");
        assert_eq!((reply.status, &reply.json()["code"]), (401, &Value::from("BAD_API_KEY_OR_SECRET")));
        let schemes: Vec<&str> =
            reply.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| &value[..6]).collect();
        assert_eq!(schemes, ["Bearer", "Basic "]);
        assert_eq!(request("/publish", authorization, "kitchen/a").code(), 11);
    }
    let denied = "not sent: token `kitchen` may not publish to `cellar`";
    assert_refused(&request(PUBLISH, &basic("kitchen"), "cellar"), 403, 135, denied);
    assert_eq!(request("/publish", &basic("kitchen"), "kitchen/a").status, 200);
    let over = "not sent: token `kitchen` is over its rate";
    assert_refused(&request(PUBLISH, &token.bearer(), "kitchen/a"), 429, 151, over);
    let status = daemon.connect().request("GET", "/status", &[("Authorization", &basic("kitchen"))], b"");
    assert_eq!(status.status, 200);
    assert_eq!(request("/api/v5/nodes", &token.bearer(), "kitchen/a").code(), 6, "other paths of EMQX are not there");
}

#[test]
fn message_ids_begin_with_the_instance_id() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut listener = Listener::open(&daemon, "t");
    let reply = daemon.connect().post(PUBLISH, br#"{"topic":"t","qos":1,"payload":"x"}"#);
    assert_eq!(listener.message()["payload"], "x");
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let of_stream = hexadecimal(listener.last_id().split('-').next().unwrap());
    assert_eq!(hexadecimal(&reply.json()["id"].as_str().unwrap()[..16]), of_stream);
}
