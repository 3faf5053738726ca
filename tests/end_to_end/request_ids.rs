//! Request identifiers, in replies and in records.

use std::collections::BTreeSet;

use crate::support::daemon::Daemon;
use crate::support::events::{Listener, target};
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::head;
use crate::support::token::Token;

const GIVEN: &str = "0192f1c6-7b1e-7cc0-a0d1-5b1d9c6f2f3a";

fn id(reply: &Reply) -> String {
    let ids: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "x-request-id").collect();
    assert_eq!(ids.len(), 1, "{reply:?}");
    ids[0].1.clone()
}

#[test]
fn every_reply_has_a_request_id() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 1", broker.port()));
    let mut ids = BTreeSet::new();
    for (method, path, body, status) in [
        ("GET", "/", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/nothing", "", 404),
        ("PATCH", "/publish", "", 405),
        ("POST", "/publish", r#"{"topic":"t","msg":"x","qos":1}"#, 200),
        ("POST", "/publish", r#"{"topic":"t","msg":"x"}"#, 200),
        ("POST", "/publish", "{", 400),
        ("POST", "/publish/bulk", r#"[{"topic":"t","msg":"x"}]"#, 200),
        ("POST", "/subscribe", r#"{"topic":"t"}"#, 200),
        ("POST", "/api/v5/publish", "{", 400),
        ("GET", "/messages", "", 400),
    ] {
        let ask = |headers: &[(&str, &str)]| {
            let reply = daemon.connect().request(method, path, headers, body.as_bytes());
            assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
            id(&reply)
        };
        assert_eq!(ask(&[("x-request-id", GIVEN)]), GIVEN);
        assert!(ids.insert(ask(&[])), "{method} {path}: one of its own");
        // invalid identifiers are not echoed
        let longer = "x".repeat(129);
        for bad in [&[("X-Request-ID", "a b")][..], &[("X-Request-ID", &longer)], &[("X-Request-ID", "a"); 2]] {
            assert!(ids.insert(ask(bad)), "{method} {path} {bad:?}");
        }
    }
    let stream = Listener::on(daemon.connect(), &head("GET", &target("a"), "1.1", &[("X-Request-ID", GIVEN)])).unwrap();
    assert_eq!(id(&stream.head), GIVEN);
    // a reply of the reaper
    let mut late = daemon.connect();
    late.send(b"GET /healthz HTTP/1.1\r\nX-Request-ID: a\r\n");
    let reply = late.reply();
    assert_eq!(reply.status, 408);
    assert!(ids.insert(id(&reply)));
    assert!(
        ids.iter().all(|id| id.len() <= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')),
        "{ids:?}"
    );
}

#[test]
fn records_of_a_request_have_its_request_id() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["a"]"#);
    let log = "[log]\nlevel = \"debug\"";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{log}\n{}", broker.port(), token.table));
    let ask = |authorization: &str, topic: &str, id: &str| {
        let headers = [("Authorization", authorization), ("X-Request-ID", id)];
        let body = format!(r#"{{"topic":"{topic}","msg":"x","qos":1}}"#);
        daemon.connect().request("POST", "/publish?", &headers, body.as_bytes()).status
    };
    assert_eq!(ask(&token.bearer(), "a", "good"), 200);
    daemon.wait_for("token kitchen publishes to a (request good)");
    daemon.wait_for("POST /publish is answered with 200 (request good)");
    assert_eq!(ask(&token.bearer(), "b", "bad"), 403);
    daemon.wait_for("token kitchen may not publish to b (request bad)");
    assert_eq!(ask("Bearer x", "b", "unknown"), 401);
    daemon.wait_for("unauthorized: 127.0.0.1 sent a token that is not known (request unknown)");
    daemon.wait_for("POST /publish is answered with 401 (request unknown)");
}

#[test]
fn the_request_id_is_exposed_to_pages_and_in_a_503() {
    let origin = ("Origin", "https://panel.example.com");
    let http = "[http]\nallowed-origins = [\"https://panel.example.com\"]";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.2\n{http}", free_port()));
    let headers = [origin, ("X-Request-ID", GIVEN)];
    let reply = daemon.connect().request("POST", "/publish", &headers, br#"{"topic":"t","msg":"x","qos":1}"#);
    assert_eq!((reply.status, id(&reply).as_str()), (503, GIVEN));
    let exposed = reply.header("access-control-expose-headers");
    assert!(exposed.is_some_and(|names| names.contains("X-Request-ID")), "{reply:?}");
}
