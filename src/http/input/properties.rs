//! `properties`: the properties that MQTT 5 gives a message, by the names of the specification.

use bytes::Bytes;

use super::json::{Fields, Limit, Value};
use super::values::{Scalar, expiry, string, topic};
use crate::http::reply::in_field;
use crate::message::{MAX_USER_PROPERTIES, MqttString, Properties};

/// The user properties of a message.
pub const PAIRS: Limit = Limit { prefix: "must not have ", max: MAX_USER_PROPERTIES, unit: "pairs" };
const STRINGS: Limit = Limit { prefix: "must not have ", max: 2, unit: "strings in each pair" };

const FIELDS: &str = "`payload_format_indicator`, `message_expiry_interval`, `response_topic`, `correlation_data`, \
                      `content_type` and `user_properties`";

/// The properties in an object. The error names the property and the rule.
pub fn read(value: Value) -> Result<Properties, String> {
    let mut fields = Fields::of(value)?;
    let properties = Properties {
        payload_format_indicator: fields.read("payload_format_indicator", indicator)?,
        message_expiry_interval: fields.read("message_expiry_interval", expiry)?,
        response_topic: fields.read("response_topic", topic)?,
        correlation_data: fields.read("correlation_data", correlation_data)?,
        content_type: fields.read("content_type", string)?,
        user_properties: fields.read("user_properties", user_properties)?.unwrap_or_default(),
    };
    fields.finish(FIELDS)?;
    Ok(properties)
}

/// 1 says that the payload is UTF-8, 0 that its type is unspecified (MQTT 5, 3.3.2.3.2).
fn indicator(value: Value) -> Result<bool, String> {
    match value.integer()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("must be 0 or 1, not {other}")),
    }
}

fn correlation_data(value: Value) -> Result<Bytes, String> {
    let data = value.text()?.into_bytes();
    // the length of Binary Data is a two byte integer (MQTT 5, 1.5.6)
    if u16::try_from(data.len()).is_err() {
        return Err(format!("is {} bytes long, over the {} that MQTT allows", data.len(), u16::MAX));
    }
    Ok(data.into())
}

/// An object, or an array of `[name, value]` or `{"key": …, "value": …}`, in which a name may be there twice.
fn user_properties(value: Value) -> Result<Vec<(MqttString, MqttString)>, String> {
    if value.is_array() {
        return value.items(PAIRS)?.into_iter().map(pair).collect();
    }
    if !value.is_object() {
        return Err("must be an object, or an array of [name, value]".to_owned());
    }
    value.pairs(PAIRS)?.into_iter().map(|(name, value)| user_property(name, value)).collect()
}

fn pair(value: Value) -> Result<(MqttString, MqttString), String> {
    if value.is_array() {
        return match value.items(STRINGS)?.as_slice() {
            [name, value] => user_property(name.text()?, *value),
            other => Err(format!("must have 2 strings in each pair, not {}", other.len())),
        };
    }
    let mut fields = Fields::of(value).map_err(|_| "must be an array of [name, value]".to_owned())?;
    let (name, value) = (fields.take("key"), fields.take("value"));
    fields.finish("`key` and `value`")?;
    match (name, value) {
        (Some(name), Some(value)) => user_property(name.text()?, value),
        _ => Err("must have `key` and `value` in each pair".to_owned()),
    }
}

/// A user property: its name and its value are both strings.
pub fn user_property(name: String, value: Value) -> Result<(MqttString, MqttString), String> {
    let name = MqttString::try_from(name).map_err(|error| format!("has a name that {error}"))?;
    let value = in_field(name.as_str(), string(value))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TopicName;

    fn parse(json: &str) -> Result<Properties, String> {
        let body = format!("{{\"p\":{json}}}");
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        read(fields.take("p").unwrap())
    }

    fn pairs(json: &str) -> Vec<(String, String)> {
        let properties = parse(&format!("{{\"user_properties\":{json}}}")).unwrap();
        let text = |(name, value): &(MqttString, MqttString)| (name.as_str().to_owned(), value.as_str().to_owned());
        properties.user_properties.iter().map(text).collect()
    }

    #[test]
    fn every_property_is_read() {
        let json = r#"{"payload_format_indicator":1,"message_expiry_interval":4294967295,"response_topic":"r/t",
            "correlation_data":"ö","content_type":"text/plain","user_properties":{"a":"1"}}"#;
        let text = |text: &str| MqttString::try_from(text.to_owned()).unwrap();
        let expected = Properties {
            payload_format_indicator: Some(true),
            message_expiry_interval: Some(u32::MAX),
            response_topic: Some(TopicName::try_from("r/t".to_owned()).unwrap()),
            correlation_data: Some(Bytes::from("ö")),
            content_type: Some(text("text/plain")),
            user_properties: vec![(text("a"), text("1"))],
        };
        assert_eq!(parse(json), Ok(expected));
        assert_eq!(parse("{}"), Ok(Properties::default()));
    }

    #[test]
    fn user_properties_keep_their_order_and_in_an_array_their_repetitions() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(pairs(r#"{"z":"1","a":"2"}"#), [two("z", "1"), two("a", "2")]);
        assert_eq!(pairs(r#"[["z","1"],["a","2"],["z","3"]]"#), [two("z", "1"), two("a", "2"), two("z", "3")]);
        assert_eq!(pairs(r#"[{"key":"z","value":"1"},{"value":"2","key":"z"}]"#), [two("z", "1"), two("z", "2")]);
        assert_eq!(pairs("[]"), []);
        let most: Vec<String> = (0..MAX_USER_PROPERTIES).map(|n| format!("\"{n}\":\"\"")).collect();
        assert_eq!(pairs(&format!("{{{}}}", most.join(","))).len(), MAX_USER_PROPERTIES);
    }

    #[test]
    fn each_error_names_the_property_and_the_rule() {
        let long = "x".repeat(65_536);
        // to read all of them would take several times the memory of the body
        let many = format!("{{\"user_properties\":[{}[]]}}", "[],".repeat(100_000));
        let fields: Vec<String> = (0..=MAX_USER_PROPERTIES).map(|n| format!("\"{n}\":\"\"")).collect();
        let many_fields = format!("{{\"user_properties\":{{{}}}}}", fields.join(","));
        for (json, error) in [
            ("[]", "must be an object, not an array"),
            (
                r#"{"color":1}"#,
                "unknown field `color`: there are `payload_format_indicator`, `message_expiry_interval`, `response_topic`, `correlation_data`, `content_type` and `user_properties`",
            ),
            (r#"{"payload_format_indicator":2}"#, "`payload_format_indicator` must be 0 or 1, not 2"),
            (
                r#"{"message_expiry_interval":-1}"#,
                "`message_expiry_interval` must be a number of seconds from 0 to 4294967295, not -1",
            ),
            (
                r#"{"response_topic":"a/#"}"#,
                "`response_topic` must not contain the wildcard `#`: one publishes to a topic name, not to a topic filter",
            ),
            (r#"{"content_type":"a\nb"}"#, "`content_type` must not contain the character U+000A"),
            (r#"{"user_properties":1}"#, "`user_properties` must be an object, or an array of [name, value]"),
            (&many, "`user_properties` must not have more than 100 pairs"),
            (&many_fields, "`user_properties` must not have more than 100 pairs"),
            (
                r#"{"user_properties":[["a","b","c"]]}"#,
                "`user_properties` must not have more than 2 strings in each pair",
            ),
            (r#"{"user_properties":{"a":1}}"#, "`user_properties` `a` must be a string, not 1"),
            (r#"{"user_properties":[["a"]]}"#, "`user_properties` must have 2 strings in each pair, not 1"),
            (r#"{"user_properties":[{"key":"a"}]}"#, "`user_properties` must have `key` and `value` in each pair"),
            (
                r#"{"user_properties":{"a\u0000":"b"}}"#,
                "`user_properties` has a name that must not contain the character U+0000",
            ),
            (
                &format!(r#"{{"correlation_data":"{long}"}}"#),
                "`correlation_data` is 65536 bytes long, over the 65535 that MQTT allows",
            ),
        ] {
            assert_eq!(parse(json).unwrap_err(), error);
        }
    }
}
