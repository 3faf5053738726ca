//! Only pages of the daemon's own origin or an allowed one may publish, and those may read every response.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

const MESSAGE: &[u8] = br#"{"topic":"t","msg":"x"}"#;
const ALLOWED: (&str, &str) = ("Origin", "https://panel.example");
const ALLOWS: &str = "allowed-origins = [\"https://panel.example\"]\n";

fn publish(daemon: &Daemon, headers: &[(&str, &str)]) -> Reply {
    daemon.connect().request("POST", "/publish", headers, MESSAGE)
}

/// `POST /publish` with exactly these lines between the request line and the body's length.
fn publish_with_lines(daemon: &Daemon, target: &str, lines: &str) -> Reply {
    let mut connection = daemon.connect();
    connection.send(format!("POST {target} {lines}Content-Length: {}\r\n\r\n", MESSAGE.len()).as_bytes());
    connection.send(MESSAGE);
    connection.reply()
}

/// The headers that let a page read a response, if they are there.
fn cors(reply: &Reply) -> [Option<&str>; 3] {
    ["access-control-allow-origin", "vary", "access-control-expose-headers"].map(|name| reply.header(name))
}

const EXPOSED: &str = "Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID, MQTT-QoS, MQTT-Retain, x-amz-mqtt5-user-properties, \
                       x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator";
const READABLE: [Option<&str>; 3] = [Some("https://panel.example"), Some("Origin"), Some(EXPOSED)];

#[test]
fn a_page_of_another_origin_is_refused_and_publishes_nothing() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\n{ALLOWS}", broker.port()));
    for origin in ["https://evil.example", "null", "http://localhost:1", "https://panel.example.evil.example"] {
        let reply = publish(&daemon, &[("Origin", origin)]);
        reply.assert_refused(
            403,
            12,
            &format!("a page of `{origin}` may not call this: its origin is not in `allowed-origins`"),
        );
        assert_eq!(cors(&reply), [None; 3], "{origin}");
    }
    publish(&daemon, &[("Sec-Fetch-Site", "cross-site")]).assert_refused(
        403,
        12,
        "a page of another site may not call this: its origin is not in `allowed-origins`",
    );
    publish(&daemon, &[("Sec-Fetch-Site", "same-site")]).assert_refused(
        403,
        12,
        "a page of another site may not call this: its origin is not in `allowed-origins`",
    );
    publish(&daemon, &[ALLOWED, ("Origin", "https://evil.example")]).assert_refused(
        400,
        3,
        "`Origin` must not be there twice",
    );
    let own = format!("http://{}", daemon.address());
    let lines = format!("HTTP/1.1\r\nHost: {}\r\nOrigin: {own}\r\nSec-Fetch-Site: same-origin\r\n", daemon.address());
    publish_with_lines(&daemon, "/publish", &lines).assert_published();
    broker.wait_for("Received PUBLISH");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1, "only the daemon's own page published");
}

#[test]
fn dns_rebinding_is_refused() {
    let broker = Mosquitto::start();
    let hosts = "allowed-hosts = [\"bridge.example\"]\n";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\n{hosts}", broker.port()));
    let foreign = "the host must be an address of loopback or one of `allowed-hosts`, not `evil.example:8000`";
    let rebound = "HTTP/1.1\r\nHost: evil.example:8000\r\nOrigin: http://evil.example:8000\r\n";
    publish_with_lines(&daemon, "/publish", rebound).assert_refused(403, 12, foreign);
    let absolute = "http://evil.example:8000/publish";
    publish_with_lines(&daemon, absolute, "HTTP/1.1\r\nHost: localhost\r\n").assert_refused(403, 12, foreign);
    for host in ["localhost", "127.0.0.1:1", "[::1]", "Bridge.Example:443"] {
        publish_with_lines(&daemon, "/publish", &format!("HTTP/1.1\r\nHost: {host}\r\n")).assert_published();
    }
}

#[test]
fn a_request_must_have_one_valid_host() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    for (lines, error) in [
        ("HTTP/1.1\r\n", "`Host` is missing"),
        ("HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", "`Host` must not be there twice"),
        ("HTTP/1.1\r\nHost: u@localhost\r\n", "the host `u@localhost` is malformed"),
        ("HTTP/1.1\r\nHost: localhost/x\r\n", "the host `localhost/x` is malformed"),
        ("HTTP/1.1\r\nHost: local host\r\n", "the host `local host` is malformed"),
    ] {
        publish_with_lines(&daemon, "/publish", lines).assert_refused(400, 3, error);
    }
    publish_with_lines(&daemon, "/publish", "HTTP/1.0\r\n").assert_published();
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_without_a_token() {
    let token = Token::new("all", r##"["#"]"##);
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{}[http]\n{ALLOWS}", free_port(), token.table));
    let asks = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
    let preflight = |origin| daemon.connect().request("OPTIONS", "/publish", &[&[origin], &asks[..]].concat(), b"");
    let reply = preflight(ALLOWED);
    assert_eq!((reply.status, reply.body.as_slice()), (204, &b""[..]));
    assert_eq!(cors(&reply), READABLE);
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE"));
    let headers = reply.header("access-control-allow-headers").unwrap();
    let last = "Idempotency-Key, Last-Event-ID, Prefer, X-Request-ID, x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator";
    assert_eq!(headers, format!("Authorization, Content-Type, {last}"));
    assert_eq!(reply.header("access-control-max-age"), Some("600"));
    assert_eq!(reply.header("content-type"), None);
    let foreign = preflight(("Origin", "https://evil.example"));
    assert_eq!((foreign.status, cors(&foreign)), (403, [None; 3]));
    let no_preflight = daemon.connect().request("OPTIONS", "/publish", &[ALLOWED], b"");
    assert_eq!(no_preflight.status, 401);
}

#[test]
fn a_page_of_an_allowed_origin_can_read_every_response() {
    let broker = Mosquitto::start();
    let token = Token::new("t", r#"["t"]"#).with("rate = 0.01");
    let with_tokens = format!("[mqtt]\nport = {}\n{}[http]\n{ALLOWS}", broker.port(), token.table);
    let daemon = Daemon::connected_with(&with_tokens);
    let bearer = token.bearer();
    let authorized = [ALLOWED, ("Authorization", bearer.as_str())];
    let post = |path: &str, headers: &[_], body: &[u8]| daemon.connect().request("POST", path, headers, body);
    for (status, reply) in [
        (200, post("/publish", &authorized, br#"{"topic":"t","msg":"x","qos":1}"#)),
        (429, post("/publish", &authorized, MESSAGE)),
        (403, post("/publish", &authorized, br#"{"topic":"u","msg":"x"}"#)),
        (400, post("/publish", &authorized, b"{}")),
        (404, post("/nothing", &authorized, b"")),
        (401, post("/publish", &[ALLOWED], MESSAGE)),
        (405, daemon.connect().request("GET", "/publish", &authorized, b"")),
    ] {
        assert_eq!((reply.status, cors(&reply)), (status, READABLE), "{reply:?}");
    }
    let without_origin = daemon.publish("{}");
    assert_eq!((without_origin.status, cors(&without_origin)), (401, [None; 3]));
}

#[test]
fn a_page_of_an_allowed_origin_can_read_a_503() {
    let configuration = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.1\n[http]\n{ALLOWS}", free_port());
    let reply = publish(&Daemon::with(&configuration), &[ALLOWED]);
    assert_eq!((reply.status, cors(&reply)), (503, READABLE));
    assert!(reply.header("retry-after").is_some());
}

#[test]
fn curl_gets_the_configured_cors_headers() {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[http]\n{ALLOWS}", free_port()));
    let url = format!("http://{}/publish", daemon.address());
    let headers = ["-H", "Origin: https://panel.example", "-H", "Access-Control-Request-Method: POST"];
    let mut curl = Process::start(Command::new("curl").args(["-sSi", "-X", "OPTIONS"]).args(headers).arg(&url));
    assert!(curl.wait_for_end().success());
    let answer = String::from_utf8(curl.stdout()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(answer.contains("\r\nAccess-Control-Allow-Origin: https://panel.example\r\n"), "{answer}");
}
