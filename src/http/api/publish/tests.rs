//! What is a valid body, and the error for one that is not.

use super::*;
use crate::message::{Properties, TopicName};

const LONGEST: Longest = Longest { timeout: Duration::from_secs(60), ttl: Duration::from_secs(86_400) };

fn parse(body: &[u8]) -> Result<(Message, Times), String> {
    super::parse(body, LONGEST)
}

#[test]
fn the_body_of_the_tutorial_is_a_message_at_qos_0() {
    let (message, times) = parse(br#"{"topic": "django/mqtt", "msg": "hello"}"#).unwrap();
    let topic = TopicName::try_from("django/mqtt".to_owned()).unwrap();
    let payload = b"hello".as_slice().into();
    let properties = Properties::default();
    assert_eq!(message, Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties });
    assert_eq!(times, Times { timeout: None, ttl: None });
}

#[test]
fn every_field_is_read() {
    let body = br#"{"timeout": 0.5, "ttl": 90, "retain": true, "qos": 2, "payload": null, "topic": "a",
        "properties": {"content_type": "x"}}"#;
    let (message, times) = parse(body).unwrap();
    assert_eq!((message.retain, message.qos, message.payload.len()), (true, Qos::ExactlyOnce, 0));
    assert!(message.properties.content_type.is_some());
    assert_eq!(times, Times { timeout: Some(Duration::from_millis(500)), ttl: Some(Duration::from_secs(90)) });
}

#[test]
fn any_timeout_above_0_is_valid() {
    for seconds in ["1e-9", "1e-10", "5e-324"] {
        let body = format!(r#"{{"topic":"a","msg":1,"timeout":{seconds}}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap().1.timeout, Some(Duration::from_nanos(1)), "{seconds}");
    }
}

#[test]
fn each_error_names_the_field_and_the_rule() {
    for (body, error) in [
        (r#"{"msg":1}"#, "field `topic` is missing"),
        (r#"{"topic":"a"}"#, "field `msg` is missing"),
        (
            r#"{"topic":"a","msg":1,"payload":1}"#,
            "fields `msg` and `payload` are two names for one thing: only one may be there",
        ),
        (
            r#"{"topic":"a","msg":1,"Retain":true}"#,
            "unknown field `Retain`: there are `topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain`, `properties`, `timeout` and `ttl`; did you mean `retain`?",
        ),
        (r#"{"topic":7,"msg":1}"#, "`topic` must be a string, not 7"),
        (r#"{"topic":null,"msg":1}"#, "`topic` must be a string, not null"),
        (r#"{"topic":"","msg":1}"#, "`topic` must not be empty"),
        (
            r#"{"topic":"a/#","msg":1}"#,
            "`topic` must not contain the wildcard `#`: one publishes to a topic name, not to a topic filter",
        ),
        (r#"{"topic":"a\u0000","msg":1}"#, "`topic` must not contain the character U+0000"),
        (r#"{"topic":"a\u001b","msg":1}"#, "`topic` must not contain the character U+001B"),
        (r#"{"topic":"$SYS/a","msg":1}"#, "`topic` must not start with `$`: such topics belong to the broker"),
        (
            r#"{"topic":"a","msg":"\ud800"}"#,
            "`msg` must be a string, not one with half a surrogate pair (\\ud800 to \\udfff alone)",
        ),
        (r#"{"topic":"a","msg":1,"qos":3}"#, "`qos` must be 0, 1 or 2, not 3"),
        (r#"{"topic":"a","msg":1,"qos":"1"}"#, "`qos` must be a whole number, not a string"),
        (
            r#"{"topic":"a","msg":1,"qos":99999999999999999999}"#,
            "`qos` must be a whole number, not 99999999999999999999",
        ),
        (r#"{"topic":"a","msg":1,"retain":1}"#, "`retain` must be true or false, not 1"),
        (r#"{"topic":"a","msg":1,"timeout":0}"#, "`timeout` must be a number of seconds above 0 and up to 60, not 0"),
        (
            r#"{"topic":"a","msg":1,"timeout":60.00000000000001}"#,
            "`timeout` must be a number of seconds above 0 and up to 60, not 60.00000000000001",
        ),
        (
            r#"{"topic":"a","msg":1,"timeout":60.5}"#,
            "`timeout` must be a number of seconds above 0 and up to 60, not 60.5",
        ),
        (
            r#"{"topic":"a","payload":"\udc00"}"#,
            "`payload` must be a string, not one with half a surrogate pair (\\ud800 to \\udfff alone)",
        ),
        (
            r#"{"topic":"a","msg":1,"properties":{"content_type":7}}"#,
            "`properties` `content_type` must be a string, not 7",
        ),
        (
            r#"{"topic":"a","msg":1,"timeout":1e400}"#,
            "`timeout` must be a number of seconds above 0 and up to 60, not inf",
        ),
        (r#"{"topic":"a","msg":1,"ttl":0}"#, "`ttl` must be a number of seconds above 0 and up to 86400, not 0"),
        (
            r#"{"topic":"a","msg":1,"ttl":86401}"#,
            "`ttl` must be a number of seconds above 0 and up to 86400, not 86401",
        ),
        (r#"{"topic":"a","msg":1,"ttl":"5"}"#, "`ttl` must be a number, not a string"),
        (r#"{"topic":"a","msg":1,"timeout":"5"}"#, "`timeout` must be a number, not a string"),
    ] {
        assert_eq!(parse(body.as_bytes()).unwrap_err(), error.replace("\\\\", "\\"), "{body}");
    }
}
