//! `POST` and `PUT /topics/{topic}`: the body, whatever it is, as the payload; all else in the address and the headers, by
//! the names that AWS has for them. `DELETE` clears what is retained there.

use std::time::Duration;

use bytes::Bytes;

use super::call::{Call, Handled};
use crate::http::input::json::Value;
use crate::http::input::percent::decode;
use crate::http::input::properties::{PAIRS, user_property};
use crate::http::input::query::Parameters;
use crate::http::input::requirements::require_no_coding;
use crate::http::input::values::{self, Scalar};
use crate::http::reply::{Reply, in_field};
use crate::http::server::Head;
use crate::message::{Message, MqttString, Properties, Qos, TopicName};

/// What the path starts with; the topic is all that follows.
const PATH: &str = "/topics/";

const METHODS: &str = "POST, PUT, DELETE";
const PARAMETERS: &str = "`qos`, `retain`, `contentType`, `messageExpiry`, `responseTopic` and `timeout`";
const USER_PROPERTIES: &str = "x-amz-mqtt5-user-properties";
const CORRELATION_DATA: &str = "x-amz-mqtt5-correlation-data";
const FORMAT_INDICATOR: &str = "x-amz-mqtt5-payload-format-indicator";

/// What `curl --data-binary` says of any file.
const NOT_SAID: &str = "application/x-www-form-urlencoded";

/// Publishes a body, or clears what is retained.
pub fn publish(mut call: Call) -> Result<Handled, Reply> {
    let parameters = call.parameters(METHODS)?;
    let topic = topic(&call.target.path).map_err(Reply::invalid)?;
    if call.head()?.method() == "DELETE" {
        return clear(call, topic, parameters);
    }
    let mut said = read(parameters, call.context.max_timeout).map_err(Reply::invalid)?;
    let has_properties = call.context.has_properties;
    let head = call.head()?;
    require_no_coding(head)?;
    said.properties.user_properties = read_header(head, USER_PROPERTIES, user_properties)?.unwrap_or_default();
    said.properties.correlation_data = read_header(head, CORRELATION_DATA, values::base64)?.map(Bytes::from);
    said.properties.payload_format_indicator = read_header(head, FORMAT_INDICATOR, indicator)?;
    // every client says it, whether or not it means it for MQTT
    if said.properties.content_type.is_none() && has_properties {
        said.properties.content_type = read_header(head, "Content-Type", content_type)?.flatten();
    }
    let Said { qos, retain, properties, timeout } = said;
    // a body that a client meant to send and that was lost on the way looks the same
    let says_empty = head.body_length() == Some(0);
    let payload = Bytes::from(call.body()?);
    if retain && payload.is_empty() && !says_empty {
        return Err(Reply::empty_without_length());
    }
    let message = Message { topic, payload, qos, retain, properties };
    call.principal.may_publish(&message)?;
    Ok(call.publish(message, timeout, Reply::from))
}

/// Publishes a retained message without a payload, which a broker does not keep (MQTT 5, 3.3.1.3).
fn clear(mut call: Call, topic: TopicName, parameters: Parameters) -> Result<Handled, Reply> {
    let (qos, timeout) = read_clearing(parameters, call.context.max_timeout).map_err(Reply::invalid)?;
    if !call.body()?.is_empty() {
        return Err(Reply::invalid("a request that clears a topic must have no body".to_owned()));
    }
    let (payload, properties) = (Bytes::new(), Properties::default());
    let message = Message { topic, payload, qos, retain: true, properties };
    call.principal.may_publish(&message)?;
    Ok(call.publish(message, timeout, Reply::from))
}

/// What the parameters say of a message.
#[derive(Debug)]
struct Said {
    qos: Qos,
    retain: bool,
    properties: Properties,
    timeout: Option<Duration>,
}

fn read(mut parameters: Parameters, max_timeout: Duration) -> Result<Said, String> {
    let properties = Properties {
        content_type: parameters.read("contentType", values::string)?,
        message_expiry_interval: parameters.read("messageExpiry", values::expiry)?,
        response_topic: parameters.read("responseTopic", values::topic)?,
        ..Properties::default()
    };
    let said = Said {
        qos: parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce),
        retain: parameters.read("retain", Scalar::boolean)?.unwrap_or(false),
        properties,
        timeout: parameters.read("timeout", |value| values::timeout(value, max_timeout))?,
    };
    parameters.finish(PARAMETERS)?;
    Ok(said)
}

fn read_clearing(mut parameters: Parameters, max_timeout: Duration) -> Result<(Qos, Option<Duration>), String> {
    let qos = parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let timeout = parameters.read("timeout", |value| values::timeout(value, max_timeout))?;
    parameters.finish("`qos` and `timeout`")?;
    Ok((qos, timeout))
}

/// The topic of a path, decoded once: `%2F` separates levels as `/` does.
fn topic(path: &str) -> Result<TopicName, String> {
    let topic = decode(path.strip_prefix(PATH).unwrap_or_default());
    in_field("topic", topic.and_then(|topic| TopicName::try_from(topic).map_err(|error| error.to_string())))
}

/// The checked value of a header that may be there once; the error names the header.
fn read_header<T>(head: Head, name: &'static str, check: fn(&str) -> Result<T, String>) -> Result<Option<T>, Reply> {
    let value = head.header(name)?;
    value.map(|value| in_field(name, check(value)).map_err(Reply::invalid)).transpose()
}

/// `None` for what says nothing of the body.
fn content_type(value: &str) -> Result<Option<MqttString>, String> {
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case(NOT_SAID) {
        return Ok(None);
    }
    MqttString::try_from(value.to_owned()).map(Some).map_err(|error| error.to_string())
}

fn indicator(value: &str) -> Result<bool, String> {
    match value {
        "UNSPECIFIED_BYTES" => Ok(false),
        "UTF8_DATA" => Ok(true),
        _ => Err("must be UNSPECIFIED_BYTES or UTF8_DATA".to_owned()),
    }
}

/// An array of objects: their order counts, and a name may stand in several.
fn user_properties(value: &str) -> Result<Vec<(MqttString, MqttString)>, String> {
    let json = values::base64(value)?;
    let objects = Value::parse(&json).ok_or("must be base64 of JSON")?.items(PAIRS)?;
    let mut pairs = Vec::new();
    for object in objects {
        for (name, value) in object.pairs(PAIRS)? {
            if pairs.len() == PAIRS.max {
                return Err(PAIRS.to_string());
            }
            pairs.push(user_property(name, value)?);
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    fn said(query: &str) -> Result<Said, String> {
        read(Parameters::parse(query)?, Duration::from_secs(60))
    }

    #[test]
    fn the_topic_is_all_of_the_path_decoded_once() {
        for (path, expected) in [
            ("/topics/a/b", "a/b"),
            ("/topics/a%2Fb", "a/b"),
            ("/topics/a%252Fb", "a%2Fb"),
            ("/topics//a/", "/a/"),
            ("/topics/k%C3%BCche/%20", "küche/ "),
            ("/topics/topics/a", "topics/a"),
            ("/topics/..", ".."),
        ] {
            assert_eq!(topic(path).as_ref().map(TopicName::as_str), Ok(expected), "{path}");
        }
    }

    #[test]
    fn each_refused_topic_says_the_rule() {
        let escape = "`topic` has a `%` without two hexadecimal digits behind it: a percent sign itself is `%25`";
        let wildcard = |c| {
            format!("`topic` must not contain the wildcard `{c}`: one publishes to a topic name, not to a topic filter")
        };
        for (path, words) in [
            ("/topics/", "`topic` must not be empty"),
            ("/topics/a%00b", "`topic` must not contain the character U+0000"),
            ("/topics/a%0Ab", "`topic` must not contain the character U+000A"),
            ("/topics/%FF", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/%ED%A0%80", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/%C3", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/100%", escape),
            ("/topics/%2", escape),
            ("/topics/%g0", escape),
            ("/topics/+/a", &wildcard('+')),
            ("/topics/%23", &wildcard('#')),
            ("/topics/$SYS/a", "`topic` must not start with `$`: such topics belong to the broker"),
            ("/topics/%24SYS/a", "`topic` must not start with `$`: such topics belong to the broker"),
        ] {
            assert_eq!(topic(path).unwrap_err(), words, "{path}");
        }
    }

    #[test]
    fn every_parameter_is_read() {
        let query = "qos=2&retain=true&contentType=image%2Fx+y&messageExpiry=60&responseTopic=r%2Ft&timeout=0.5";
        let said = said(query).unwrap();
        assert_eq!((said.qos, said.retain, said.timeout), (Qos::ExactlyOnce, true, Some(Duration::from_millis(500))));
        let properties = said.properties;
        assert_eq!(properties.content_type.unwrap().as_str(), "image/x+y");
        assert_eq!(properties.message_expiry_interval, Some(60));
        assert_eq!(properties.response_topic.unwrap().as_str(), "r/t");
    }

    #[test]
    fn each_refused_parameter_is_named_with_the_rule() {
        for (query, words) in [
            ("qos=3", "`qos` must be 0, 1 or 2, not 3"),
            ("qos=", "`qos` must be a whole number, not ``"),
            ("qos=1&qos=1", "parameter `qos` is there twice"),
            ("retain", "`retain` must be true or false, not ``"),
            ("contentType=a%00", "`contentType` must not contain the character U+0000"),
            ("messageExpiry=-1", "`messageExpiry` must be a number of seconds from 0 to 4294967295, not -1"),
            (
                "messageExpiry=4294967296",
                "`messageExpiry` must be a number of seconds from 0 to 4294967295, not 4294967296",
            ),
            (
                "responseTopic=a/%2B",
                "`responseTopic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter",
            ),
            ("timeout=61", "`timeout` must be a number of seconds above 0 and up to 60, not 61"),
            ("timeout=inf", "`timeout` must be a number, not `inf`"),
            (
                "Qos=1",
                "unknown parameter `Qos`: there are `qos`, `retain`, `contentType`, `messageExpiry`, `responseTopic` and `timeout`; did you mean `qos`?",
            ),
        ] {
            assert_eq!(said(query).unwrap_err(), words, "{query}");
        }
    }

    fn pairs(json: &str) -> Result<Vec<(String, String)>, String> {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(json);
        let text = |(name, value): &(MqttString, MqttString)| (name.as_str().to_owned(), value.as_str().to_owned());
        Ok(user_properties(&encoded)?.iter().map(text).collect())
    }

    #[test]
    fn user_properties_keep_their_order_and_their_repetitions() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let json = r#"[{"deviceName": "alpha"}, {"z": "1", "a": "2"}, {"deviceName": "beta"}, {}]"#;
        let expected = vec![two("deviceName", "alpha"), two("z", "1"), two("a", "2"), two("deviceName", "beta")];
        assert_eq!(pairs(json), Ok(expected));
        assert_eq!(pairs("[]"), Ok(Vec::new()));
    }

    #[test]
    fn each_refused_list_of_user_properties_says_the_rule() {
        for (json, words) in [
            ("", "must be base64 of JSON"),
            ("[", "must be base64 of JSON"),
            ("\u{1}", "must be base64 of JSON"),
            (r#"{"a":"b"}"#, "must be an array, not an object"),
            (r#"["a"]"#, "must be an object, not a string"),
            (r#"[{"a":1}]"#, "`a` must be a string, not 1"),
            (r#"[{"a":"\u0000"}]"#, "`a` must not contain the character U+0000"),
            (r#"[{"\n":"b"}]"#, "has a name that must not contain the character U+000A"),
            (&"[".repeat(100_000), "must be base64 of JSON"),
            (&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "must be an object, not an array"),
        ] {
            assert_eq!(pairs(json).unwrap_err(), words);
        }
        assert!(user_properties("{}").unwrap_err().starts_with("must be base64 with its padding"));
    }

    #[test]
    fn a_form_is_no_content_type_and_all_else_is_taken_as_it_stands() {
        for (value, expected) in [
            ("image/jpeg", Some("image/jpeg")),
            ("Text/Plain; charset=ISO-8859-1", Some("Text/Plain; charset=ISO-8859-1")),
            ("application/x-www-form-urlencoded", None),
            ("Application/X-WWW-form-urlencoded; charset=utf-8", None),
            ("", None),
        ] {
            let read = content_type(value).unwrap();
            assert_eq!(read.as_ref().map(MqttString::as_str), expected, "{value}");
        }
        assert_eq!(content_type("a\tb").unwrap_err(), "must not contain the character U+0009");
    }

    #[test]
    fn a_header_is_named_when_it_is_refused() {
        let request = TestHead::post(&[("X-AMZ-mqtt5-Payload-Format-Indicator", "utf8")]);
        let refusal = read_header(request.head(), FORMAT_INDICATOR, indicator).unwrap_err();
        let words = "`x-amz-mqtt5-payload-format-indicator` must be UNSPECIFIED_BYTES or UTF8_DATA";
        assert_eq!(refusal, Reply::invalid(words.to_owned()));
        assert_eq!([indicator("UTF8_DATA"), indicator("UNSPECIFIED_BYTES")], [Ok(true), Ok(false)]);
    }
}
