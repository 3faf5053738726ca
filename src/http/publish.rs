//! `POST /publish`: one message, as the tutorial's view takes it.

use tiny_http::Request;

use super::Endpoints;
use super::fields::{Fields, Value};
use super::reply::Reply;
use super::request::{body, require_json, require_post};
use crate::config::MAX_PUBLISH_TIMEOUT;
use crate::message::{Message, Qos, TopicName};

const FIELDS: &str = "`topic`, `msg` (or `payload`), `qos`, `retain` and `timeout`";

/// Publishes the message of the request's body.
pub fn answer(endpoints: &Endpoints, request: &mut Request, query: Option<&str>) -> Result<Reply, Reply> {
    require_post(request, query)?;
    require_json(request)?;
    let body = body(request, endpoints.max_body)?;
    let message = parse(&body).map_err(Reply::invalid)?;
    endpoints.publisher.publish(message)?;
    Ok(Reply::published())
}

/// The message in a body; the error names the field and the rule.
fn parse(body: &[u8]) -> Result<Message, String> {
    let mut fields = Fields::parse(body)?;
    let topic = fields.take("topic").ok_or("field `topic` is missing")?;
    let msg = one_of(fields.take("msg"), fields.take("payload"))?;
    let qos = fields.take("qos").map_or(Ok(Qos::AtMostOnce), |value| named("qos", qos(value)))?;
    let retain = fields.take("retain").map_or(Ok(false), |value| named("retain", value.truth()))?;
    fields.take("timeout").map_or(Ok(()), |value| named("timeout", check_timeout(value)))?;
    fields.finish(FIELDS)?;
    let topic =
        named("topic", topic.text().and_then(|name| TopicName::try_from(name).map_err(|error| error.to_string())))?;
    Ok(Message { topic, payload: named("msg", msg.payload())?, qos, retain })
}

/// `payload` is another name for `msg`.
fn one_of<'a>(msg: Option<Value<'a>>, payload: Option<Value<'a>>) -> Result<Value<'a>, &'static str> {
    match (msg, payload) {
        (Some(_), Some(_)) => Err("fields `msg` and `payload` are two names for one thing: only one may be there"),
        (msg, payload) => msg.or(payload).ok_or("field `msg` is missing"),
    }
}

fn qos(value: Value) -> Result<Qos, String> {
    let level = value.whole_number()?;
    Qos::try_from(level).map_err(|error| format!("{error}, not {level}"))
}

/// A publish at QoS 0 waits for nothing, but a timeout that could never hold is refused all the same.
fn check_timeout(value: Value) -> Result<(), String> {
    let (seconds, longest) = (value.number()?, MAX_PUBLISH_TIMEOUT.as_secs_f64());
    if seconds > 0.0 && seconds <= longest {
        Ok(())
    } else {
        Err(format!("must be a number of seconds above 0 and up to {longest}, not {seconds}"))
    }
}

fn named<T>(name: &str, checked: Result<T, String>) -> Result<T, String> {
    checked.map_err(|what| format!("`{name}` {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tutorials_body_is_a_message_at_qos_0() {
        let message = parse(br#"{"topic": "django/mqtt", "msg": "hello"}"#).unwrap();
        let topic = TopicName::try_from("django/mqtt".to_owned()).unwrap();
        assert_eq!(message, Message { topic, payload: b"hello".to_vec(), qos: Qos::AtMostOnce, retain: false });
    }

    #[test]
    fn every_field_is_read() {
        let message = parse(br#"{"timeout": 0.5, "retain": true, "qos": 2, "payload": null, "topic": "a"}"#).unwrap();
        assert_eq!((message.retain, message.qos, message.payload.len()), (true, Qos::ExactlyOnce, 0));
    }

    #[test]
    fn each_refusal_names_the_field_and_the_rule() {
        for (body, words) in [
            (r#"{"msg":1}"#, "field `topic` is missing"),
            (r#"{"topic":"a"}"#, "field `msg` is missing"),
            (
                r#"{"topic":"a","msg":1,"payload":1}"#,
                "fields `msg` and `payload` are two names for one thing: only one may be there",
            ),
            (
                r#"{"topic":"a","msg":1,"Retain":true}"#,
                "unknown field `Retain`: there are `topic`, `msg` (or `payload`), `qos`, `retain` and `timeout`",
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
            (
                r#"{"topic":"a","msg":1,"timeout":0}"#,
                "`timeout` must be a number of seconds above 0 and up to 60, not 0",
            ),
            (
                r#"{"topic":"a","msg":1,"timeout":60.5}"#,
                "`timeout` must be a number of seconds above 0 and up to 60, not 60.5",
            ),
            (r#"{"topic":"a","msg":1,"timeout":"5"}"#, "`timeout` must be a number, not a string"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err(), words.replace("\\\\", "\\"), "{body}");
        }
    }
}
