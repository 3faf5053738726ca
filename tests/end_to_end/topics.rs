//! `POST` and `PUT /topics/{topic}`: the body is the payload, byte for byte.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

/// A PNG signature and then all bytes, long enough that curl sends `Expect: 100-continue`.
fn picture() -> Vec<u8> {
    let bytes = (0..=u8::MAX).cycle().take(1024 * 1024 - 10);
    b"\x89PNG\r\n\x1a\n".iter().copied().chain(bytes).collect()
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let mut curl = Process::start(Command::new("curl").arg("-sS").args(arguments));
    assert!(curl.wait_for_end().success());
    curl.stdout()
}

#[test]
fn a_picture_arrives_byte_for_byte_with_its_content_type() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nmax-packet-size = 2000000", broker.port()));
    let (folder, picture) = (Folder::new(), picture());
    let path = folder.path().join("picture.png");
    std::fs::write(&path, &picture).unwrap();
    let path = path.to_str().unwrap();
    let url = format!("http://{}/topics/camera/1?qos=1", daemon.address());
    let typed = ["-H", "Content-Type: image/png"];
    for (arguments, content_type) in [
        (["--data-binary", &format!("@{path}")], "image/png"),
        (["-T", path], "image/png"),
        (["--data-binary", &format!("@{path}")], ""),
        (["-T", path], ""),
    ] {
        let mut subscriber = broker.subscribe("camera/+", 1, "%t %C\n%p");
        let typed: &[&str] = if content_type.is_empty() { &[] } else { &typed };
        let reply = curl(&[&arguments[..], typed, &[url.as_str()]].concat());
        assert!(reply.starts_with(br#"{"code":0,"packet_id":"#), "{arguments:?}: {}", String::from_utf8_lossy(&reply));
        subscriber.wait_for_end();
        let head = format!("camera/1 {content_type}\n");
        assert!(subscriber.stdout() == [head.as_bytes(), &picture].concat(), "{arguments:?} {content_type}");
    }
}

#[test]
fn parameters_and_headers_become_mqtt_properties() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let format = "%t|%p|%q|%r|%C|%D|%E|%F|%P|%R";
    let (mut full, mut plain) = (broker.subscribe("+/licht/#", 1, format), broker.subscribe("a%2Fb", 1, format));
    let path = "/topics/k%C3%BCche%2Flicht/1?qos=2&retain=true&contentType=a%2Fb&messageExpiry=600&responseTopic=r%2Ft&timeout=5";
    let headers = [
        ("Content-Type", "image/png"),
        // [{"deviceName": "alpha"}, {"deviceName": "beta", "n": "1"}]
        (
            "x-amz-mqtt5-user-properties",
            "W3siZGV2aWNlTmFtZSI6ICJhbHBoYSJ9LCB7ImRldmljZU5hbWUiOiAiYmV0YSIsICJuIjogIjEifV0=",
        ),
        ("X-Amz-Mqtt5-Correlation-Data", "MTIz"),
        ("x-amz-mqtt5-payload-format-indicator", "UTF8_DATA"),
    ];
    let reply = daemon.connect().request("PUT", path, &headers, b"an");
    assert_eq!((reply.status, &reply.json()["code"]), (200, &0.into()), "{reply:?}");
    daemon.connect().request("POST", "/topics/a%252Fb", &[], b"").assert_published();
    full.wait_for_end();
    let got = String::from_utf8(full.stdout()).unwrap().replace("|599|", "|600|");
    assert_eq!(got, "küche/licht/1|an|2|0|a/b|123|600|1|deviceName:alpha deviceName:beta n:1|r/t");
    plain.wait_for_end();
    assert_eq!(plain.stdout(), b"a%2Fb||0|0||||||", "it is decoded once, and what is not said is not there");
}

#[test]
fn an_empty_body_clears_a_retained_message() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut connection = daemon.connect();
    for (topic, body) in [("kept", &b"x"[..]), ("other", b"y"), ("kept", b"")] {
        let reply = connection.request("PUT", &format!("/topics/{topic}?retain=true&qos=1"), &[], body);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let mut later = broker.subscribe("#", 1, "%t");
    later.wait_for_end();
    assert_eq!(later.stdout(), b"other");
}

#[test]
fn every_refused_target_and_header_names_the_rule() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("#", 1, "%t");
    let escape = "has a `%` without two hexadecimal digits behind it: a percent sign itself is `%25`";
    let wildcard = "must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter";
    let known = "there are `qos`, `retain`, `contentType`, `messageExpiry`, `responseTopic`, `timeout` and `ttl`";
    let seconds = "must be a number of seconds above 0 and up to 60";
    let many = (0..33).map(|n| format!("p{n}&")).collect::<Vec<_>>().concat();
    let cases = [
        ("/topics/", "`topic` must not be empty"),
        ("/topics/a%00", "`topic` must not contain the character U+0000"),
        ("/topics/a%1B", "`topic` must not contain the character U+001B"),
        ("/topics/%FF", "`topic` is not UTF-8 when it is decoded"),
        ("/topics/%C3", "`topic` is not UTF-8 when it is decoded"),
        ("/topics/%", &format!("`topic` {escape}")),
        ("/topics/%zz", &format!("`topic` {escape}")),
        ("/topics/+", &format!("`topic` {wildcard}")),
        ("/topics/a%2F%2B", &format!("`topic` {wildcard}")),
        ("/topics/%24SYS/a", "`topic` must not start with `$`: such topics belong to the broker"),
        (&format!("/topics/{}", "/".repeat(128)), "`topic` has 129 levels, over the 128 that brokers accept"),
        ("/topics/a?qos=3", "`qos` must be 0, 1 or 2, not 3"),
        ("/topics/a?qos=+1", "`qos` must be a whole number, not `+1`"),
        ("/topics/a?qos=1&qos=2", "parameter `qos` is there twice"),
        ("/topics/a?qos=1&%71os=2", "parameter `qos` is there twice"),
        ("/topics/a?retain=1", "`retain` must be true or false, not `1`"),
        (
            "/topics/a?messageExpiry=4294967296",
            "`messageExpiry` must be a number of seconds from 0 to 4294967295, not 4294967296",
        ),
        (
            "/topics/a?messageExpiry=99999999999999999999",
            "`messageExpiry` must be a whole number, not `99999999999999999999`",
        ),
        ("/topics/a?responseTopic=a/+", &format!("`responseTopic` {wildcard}")),
        ("/topics/a?responseTopic=%FF", "`responseTopic` is not UTF-8 when it is decoded"),
        ("/topics/a?contentType=%0A", "`contentType` must not contain the character U+000A"),
        ("/topics/a?contentType=%2", &format!("`contentType` {escape}")),
        ("/topics/a?timeout=0", &format!("`timeout` {seconds}, not 0")),
        ("/topics/a?timeout=61", &format!("`timeout` {seconds}, not 61")),
        ("/topics/a?timeout=NaN", "`timeout` must be a number, not `NaN`"),
        ("/topics/a?QoS=1", &format!("unknown parameter `QoS`: {known}; did you mean `qos`?")),
        ("/topics/a?%1b[31m", &format!("unknown parameter `\\x1b[31m`: {known}")),
        (&format!("/topics/a?{many}"), "more than 32 parameters"),
    ];
    let mut connection = daemon.connect();
    for (path, error) in cases {
        connection.request("POST", path, &[], b"x").assert_refused(400, 3, error);
    }
    let base64 = "must be base64 with its padding (RFC 4648, 4), and is not";
    for (name, value, what) in [
        ("x-amz-mqtt5-correlation-data", "MTI", base64),
        ("x-amz-mqtt5-user-properties", "[{}]", base64),
        ("x-amz-mqtt5-user-properties", "WwA=", "must be base64 of JSON"),
        ("x-amz-mqtt5-user-properties", "eyJhIjoiYiJ9", "must be an array, not an object"),
        ("x-amz-mqtt5-user-properties", "W3siYSI6MX1d", "`a` must be a string, not 1"),
        ("x-amz-mqtt5-payload-format-indicator", "1", "must be UNSPECIFIED_BYTES or UTF8_DATA"),
        ("Content-Type", "a\tb", "must not contain the character U+0009"),
    ] {
        let reply = connection.request("POST", "/topics/a", &[(name, value)], b"x");
        reply.assert_refused(400, 3, &format!("`{name}` {what}"));
    }
    for name in ["x-amz-mqtt5-correlation-data", "Content-Type"] {
        let reply = connection.request("POST", "/topics/a", &[(name, "MTIz"), (name, "MTIz")], b"x");
        reply.assert_refused(400, 3, &format!("`{name}` must not be there twice"));
    }
    let gzip = connection.request("POST", "/topics/a", &[("Content-Encoding", "gzip")], b"x");
    gzip.assert_refused(415, 3, "`Content-Encoding: gzip` is not supported");
    let patch = connection.request("PATCH", "/topics/a", &[], b"x");
    patch.assert_refused(405, 3, "the method must be GET or HEAD or POST or PUT or DELETE");
    assert_eq!(patch.header("allow"), Some("GET, HEAD, POST, PUT, DELETE"));
    connection.request("POST", "/topics", &[], b"x").assert_refused(
        404,
        6,
        "there is nothing at `/topics`: try `POST /publish`",
    );

    connection.request("POST", "/topics/marker", &[], b"x").assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"marker", "nothing else was published");
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn in_mqtt_3_1_1_properties_are_refused_and_a_content_type_is_dropped() {
    let broker = Mosquitto::start();
    let daemon = Daemon::speaking("3.1.1", broker.port());
    let mut subscriber = broker.subscribe("#", 1, "%t %p %C");
    let image = ("Content-Type", "image/png");
    let words = "not sent: `properties` need MQTT 5, and `protocol` is \"3.1.1\"";
    for (path, header) in [
        ("/topics/a?contentType=image/png", image),
        ("/topics/a?messageExpiry=1", image),
        ("/topics/a?responseTopic=r", image),
        ("/topics/a", ("x-amz-mqtt5-correlation-data", "MTIz")),
        ("/topics/a", ("x-amz-mqtt5-payload-format-indicator", "UNSPECIFIED_BYTES")),
        ("/topics/a", ("x-amz-mqtt5-user-properties", "W3siYSI6ImIifV0=")),
    ] {
        daemon.connect().request("POST", path, &[header], b"x").assert_refused(501, 10, words);
    }
    daemon.connect().request("POST", "/topics/marker", &[image], b"x").assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"marker x ");
}

#[test]
fn a_token_publishes_to_its_topics_only() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["kitchen/#"]"#);
    let daemon = token.daemon(broker.port());
    let bearer = token.bearer();
    let post = |path: &str, headers: &[_]| daemon.connect().request("POST", path, headers, b"x");
    post("/topics/kitchen/light", &[("Authorization", bearer.as_str())]).assert_published();
    post("/topics/cellar%2Fkitchen", &[("Authorization", bearer.as_str())]).assert_refused(
        403,
        12,
        "not sent: token `kitchen` may not publish to `cellar/kitchen`",
    );
    assert_eq!(post("/topics/kitchen/light", &[]).status, 401);
}

#[test]
fn a_body_over_the_limit_is_413_and_a_missing_broker_503() {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[http]\nmax-body = 2000", free_port()));
    let mut connection = daemon.connect();
    connection.send(b"PUT /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2001\r\n\r\n");
    connection.reply().assert_refused(413, 9, "not sent: the body is over the limit of 2000 bytes");
    let away = daemon.connect().request("POST", "/topics/a?timeout=0.1", &[], &[b'x'; 2000]);
    away.assert_refused(503, 4, "not sent: there was no connection to the broker within the timeout");
}
