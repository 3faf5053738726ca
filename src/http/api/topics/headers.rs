//! The headers of `/topics/{topic}`, for the properties of MQTT 5.

use bytes::Bytes;

use crate::http::input::json::Value;
use crate::http::input::properties::{PAIRS, user_property};
use crate::http::input::values;
use crate::http::reply::{Reply, in_field};
use crate::http::server::Head;
use crate::message::{MqttString, Properties};

const USER_PROPERTIES: &str = "x-amz-mqtt5-user-properties";
const CORRELATION_DATA: &str = "x-amz-mqtt5-correlation-data";
const FORMAT_INDICATOR: &str = "x-amz-mqtt5-payload-format-indicator";

/// The default of `curl --data-binary`, for a file of any type.
const DEFAULT_TYPE: &str = "application/x-www-form-urlencoded";

/// Adds the properties that are in the headers. `Content-Type` counts only if the protocol has properties, as most
/// clients send it for HTTP only.
pub fn read(head: Head, properties: &mut Properties, has_properties: bool) -> Result<(), Reply> {
    properties.user_properties = read_header(head, USER_PROPERTIES, user_properties)?.unwrap_or_default();
    properties.correlation_data = read_header(head, CORRELATION_DATA, values::base64)?.map(Bytes::from);
    properties.payload_format_indicator = read_header(head, FORMAT_INDICATOR, indicator)?;
    if properties.content_type.is_none() && has_properties {
        properties.content_type = read_header(head, "Content-Type", content_type)?.flatten();
    }
    Ok(())
}

/// The checked value of a header that must not be there twice. The error names the header.
fn read_header<T>(head: Head, name: &'static str, check: fn(&str) -> Result<T, String>) -> Result<Option<T>, Reply> {
    let value = head.header(name)?;
    value.map(|value| in_field(name, check(value)).map_err(Reply::invalid)).transpose()
}

/// `None` for a type that says nothing about the body.
fn content_type(value: &str) -> Result<Option<MqttString>, String> {
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case(DEFAULT_TYPE) {
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

/// An array of objects, whose order is kept. A name may be in several of them.
fn user_properties(value: &str) -> Result<Vec<(MqttString, MqttString)>, String> {
    let json = values::base64(value)?;
    let objects = serde_json::from_slice::<Value>(&json).map_err(|_| "must be base64 of JSON")?.items(PAIRS)?;
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
    fn each_error_of_user_properties_names_the_rule() {
        for (json, error) in [
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
            assert_eq!(pairs(json).unwrap_err(), error);
        }
        assert!(user_properties("{}").unwrap_err().starts_with("must be base64 with its padding"));
    }

    #[test]
    fn the_default_of_curl_is_no_content_type_and_all_others_are_kept() {
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
    fn the_error_names_the_header() {
        let request = TestHead::post(&[("X-AMZ-mqtt5-Payload-Format-Indicator", "utf8")]);
        let refusal = read_header(request.head(), FORMAT_INDICATOR, indicator).unwrap_err();
        let error = "`x-amz-mqtt5-payload-format-indicator` must be UNSPECIFIED_BYTES or UTF8_DATA";
        assert_eq!(refusal, Reply::invalid(error.to_owned()));
        assert_eq!([indicator("UTF8_DATA"), indicator("UNSPECIFIED_BYTES")], [Ok(true), Ok(false)]);
    }
}
