//! Every refusal is explained, and no refused message reaches the shared connection.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn every_refused_body_names_the_field_and_the_rule_and_is_not_sent() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let mut subscriber = broker.subscribe("#", 1, "%t");
    let (long, deep) = (json!({"topic": "a".repeat(65_536), "msg": 1}), json!({"topic": "/".repeat(128), "msg": 1}));
    let (long, deep) = (long.to_string(), deep.to_string());
    let cases = [
        ("", "the body is empty: it must be a JSON object"),
        ("{\"topic\"", "the body is not valid JSON: EOF while parsing an object at line 1 column 8"),
        ("hello", "the body is not valid JSON: expected value at line 1 column 1"),
        ("[1]", "the body must be a JSON object"),
        ("null", "the body must be a JSON object"),
        (r#"{"msg":"x"}"#, "field `topic` is missing"),
        (r#"{"topic":"a"}"#, "field `msg` is missing"),
        (
            r#"{"topic":"a","msg":1,"color":"red"}"#,
            "unknown field `color`: there are `topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain`, `properties`, `timeout` and `ttl`",
        ),
        (
            r#"{"topic":"a","message":"x"}"#,
            "field `msg` is missing, and field `message` is unknown: did you mean `msg`?",
        ),
        (
            r#"{"topic":"a","msg":1,"retian":true}"#,
            "unknown field `retian`: there are `topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain`, `properties`, `timeout` and `ttl`; did you mean `retain`?",
        ),
        (
            "topic=a%2Fb&msg=hello+you&qos=1",
            "the body is a form (application/x-www-form-urlencoded), and must be JSON: {\"msg\":\"hello you\",\"qos\":1,\"topic\":\"a/b\"}",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=\"topic\"\r\n\r\na\r\n--b--\r\n",
            "the body is a form (multipart/form-data), and must be JSON",
        ),
        (r#"{"topic":["a"],"msg":1}"#, "`topic` must be a string, not an array"),
        (r#"{"topic":"a","msg":1,"qos":"0"}"#, "`qos` must be a whole number, not a string"),
        (r#"{"topic":"a","msg":1,"qos":7}"#, "`qos` must be 0, 1 or 2, not 7"),
        (r#"{"topic":"a","msg":1,"retain":"yes"}"#, "`retain` must be true or false, not a string"),
        (r#"{"topic":"a","msg":1,"timeout":-1}"#, "`timeout` must be a number of seconds above 0 and up to 60, not -1"),
        (r#"{"topic":"","msg":1}"#, "`topic` must not be empty"),
        (
            r#"{"topic":"a/+","msg":1}"#,
            "`topic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter",
        ),
        (
            r##"{"topic":"#","msg":1}"##,
            "`topic` must not contain the wildcard `#`: one publishes to a topic name, not to a topic filter",
        ),
        (r#"{"topic":"a\u0000b","msg":1}"#, "`topic` must not contain the character U+0000"),
        (r#"{"topic":"a\tb","msg":1}"#, "`topic` must not contain the character U+0009"),
        (r#"{"topic":"$SYS/a","msg":1}"#, "`topic` must not start with `$`: such topics belong to the broker"),
        (&long, "`topic` is 65536 bytes long, over the 65535 that MQTT allows"),
        (&deep, "`topic` has 129 levels, over the 128 that brokers accept"),
    ];
    let mut connection = daemon.connect();
    for (body, error) in cases {
        connection.post("/publish", body.as_bytes()).assert_refused(400, 3, error);
    }
    connection.post("/publish", br#"{"topic":"marker","msg":1}"#).assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"marker", "nothing else was published");
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn invalid_utf_8_is_refused() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let reply = daemon.connect().post("/publish", b"{\"topic\":\"a\",\"msg\":\"\xff\"}");
    assert_eq!((reply.status, reply.code()), (400, 3));
    assert!(reply.error().starts_with("the body is not valid JSON: invalid unicode code point"), "{}", reply.error());
}

#[test]
fn a_body_over_the_limit_is_refused_without_being_read() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nmax-body = 2000", broker.port()));
    let mut connection = daemon.connect();
    // no byte of the body is sent
    connection.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2001\r\n\r\n");
    connection.reply().assert_refused(413, 9, "not sent: the body is over the limit of 2000 bytes");

    let mut chunked = daemon.connect();
    chunked.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d1\r\n");
    chunked.send(&[b' '; 2001]);
    chunked.send(b"\r\n0\r\n\r\n");
    chunked.reply().assert_refused(413, 9, "not sent: the body is over the limit of 2000 bytes");

    let body = format!("{:<2000}", r#"{"topic":"t","msg":"fits"}"#);
    daemon.publish(&body).assert_published();
}

#[test]
fn a_packet_over_max_packet_size_is_refused_without_losing_the_connection() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nmax-packet-size = 1024", broker.port()));
    // fixed header 3, topic name 2 + 1, properties 1, payload
    let fits = json!({"topic": "t", "msg": "x".repeat(1024 - 7)});
    let over = json!({"topic": "t", "msg": "x".repeat(1024 - 6)});
    daemon.publish(&over.to_string()).assert_refused(
        413,
        9,
        "not sent: an MQTT packet of 1025 bytes is over the limit of 1024",
    );
    daemon.publish(&fits.to_string()).assert_published();
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn a_packet_over_the_brokers_limit_is_refused_without_losing_the_connection() {
    let broker = Mosquitto::on_port(crate::support::free_port(), "allow_anonymous true\nmax_packet_size 500");
    let daemon = Daemon::connected(broker.port());
    let over = json!({"topic": "t", "msg": "x".repeat(500)});
    let mut connection = daemon.connect();
    connection.post("/publish", over.to_string().as_bytes()).assert_refused(
        413,
        9,
        "not sent: an MQTT packet of 507 bytes is over the limit of 500",
    );
    connection.post("/publish", br#"{"topic":"marker","msg":1}"#).assert_published();
    broker.wait_for("'marker'");
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn retain_is_refused_where_the_broker_does_not_support_it() {
    let broker = Mosquitto::on_port(crate::support::free_port(), "allow_anonymous true\nretain_available false");
    let daemon = Daemon::connected(broker.port());
    daemon.publish(r#"{"topic":"t","msg":1,"retain":true}"#).assert_refused(
        501,
        10,
        "not sent: this broker does not support `retain`",
    );
    daemon.publish(r#"{"topic":"marker","msg":1}"#).assert_published();
    broker.wait_for("'marker'");
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
fn another_method_is_refused_with_allow() {
    let daemon = Daemon::start(crate::support::free_port());
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post"] {
        let reply = daemon.connect().request(method, "/publish", &[], b"");
        reply.assert_refused(405, 3, "the method must be POST");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
}

#[test]
fn an_unknown_path_is_refused_with_a_hint() {
    let daemon = Daemon::start(crate::support::free_port());
    for path in ["/index.html", "/publish/", "/Publish", "//publish", "/%70ublish", "/publish%20"] {
        let reply = daemon.connect().post(path, b"{}");
        reply.assert_refused(404, 6, &format!("there is nothing at `{path}`: try `POST /publish`"));
    }
}

#[test]
fn parameters_are_refused() {
    let daemon = Daemon::start(crate::support::free_port());
    let reply = daemon.connect().post("/publish?retain=true", b"{}");
    reply.assert_refused(400, 3, "this path takes no parameters, not `?retain=true`");
}

#[test]
fn a_content_type_other_than_json_is_refused_and_none_is_needed() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let body = br#"{"topic":"t","msg":1}"#;
    let with = |headers: &[(&str, &str)]| daemon.connect().request("POST", "/publish", headers, body);
    with(&[("Content-Type", "text/plain")]).assert_refused(
        415,
        3,
        "`Content-Type` must be `application/json` in UTF-8, not `text/plain`",
    );
    with(&[JSON, ("Content-Encoding", "gzip")]).assert_refused(415, 3, "`Content-Encoding: gzip` is not supported");
    for headers in [&[][..], &[JSON], &[("Content-Type", "application/x-www-form-urlencoded")]] {
        with(headers).assert_published();
    }
}
