//! The reply whose body is the payload of a received message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Reply;
use crate::message::{Received, ReceivedProperties};

/// The type of a payload without a content type, or with one that HTTP cannot express (RFC 9110, 8.3).
const ANY_TYPE: &str = "application/octet-stream";
/// The longest value of a header, in bytes: proxies and clients refuse a response whose head is a few times longer.
const MAX_HEADER: usize = 4096;

impl Reply {
    /// 200: the payload, unchanged. Properties that are headers of a request have the same headers here; values that
    /// are too long are left out. The publisher chose the content type, so a browser must not run scripts in the
    /// payload.
    pub fn payload(message: &Received) -> Self {
        let properties = &message.properties;
        let is_header =
            |text: &&String| text.len() <= MAX_HEADER && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let content_type = properties.content_type.clone().filter(|text| is_header(&text) && !text.trim().is_empty());
        let reply = Self::document(content_type.unwrap_or_else(|| ANY_TYPE.to_owned()), message.payload.clone())
            .not_stored()
            .with("Content-Security-Policy", "sandbox")
            .with("X-Content-Type-Options", "nosniff")
            .with("MQTT-QoS", message.qos.to_string())
            .with("MQTT-Retain", message.retain.to_string());
        let others = [
            ("x-amz-mqtt5-user-properties", user_properties(properties)),
            ("x-amz-mqtt5-correlation-data", properties.correlation_data.as_ref().map(|data| STANDARD.encode(data))),
            ("x-amz-mqtt5-payload-format-indicator", indicator(properties).map(str::to_owned)),
        ];
        let others =
            others.into_iter().filter_map(|(name, value)| Some((name, value.filter(|text| is_header(&text))?)));
        others.fold(reply, |reply, (name, value)| reply.with(name, value))
    }
}

/// An array of objects in base64, as a request has it.
fn user_properties(properties: &ReceivedProperties) -> Option<String> {
    let pairs = &properties.user_properties;
    let objects: Vec<_> = pairs.iter().map(|(name, value)| json!({ name: value })).collect();
    (!pairs.is_empty()).then(|| STANDARD.encode(json!(objects).to_string()))
}

fn indicator(properties: &ReceivedProperties) -> Option<&'static str> {
    properties.payload_format_indicator.map(|indicator| if indicator == 1 { "UTF8_DATA" } else { "UNSPECIFIED_BYTES" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(properties: ReceivedProperties) -> Reply {
        Reply::payload(&Received { payload: b"21.5".to_vec(), qos: 1, retain: true, properties, ..Received::default() })
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        reply.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    #[test]
    fn properties_are_headers_by_the_names_of_a_request() {
        let pairs = [("a", "1"), ("a", "ö")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let reply = reply(ReceivedProperties {
            content_type: Some("text/plain".to_owned()),
            user_properties: pairs.to_vec(),
            correlation_data: Some("123".into()),
            payload_format_indicator: Some(1),
            ..ReceivedProperties::default()
        });
        assert_eq!((reply.status(), &*reply.body()), (200, &b"21.5"[..]));
        for (name, value) in [
            ("Content-Type", "text/plain"),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", "sandbox"),
            ("X-Content-Type-Options", "nosniff"),
            ("MQTT-QoS", "1"),
            ("MQTT-Retain", "true"),
            // [{"a":"1"},{"a":"ö"}]
            ("x-amz-mqtt5-user-properties", "W3siYSI6IjEifSx7ImEiOiLDtiJ9XQ=="),
            ("x-amz-mqtt5-correlation-data", "MTIz"),
            ("x-amz-mqtt5-payload-format-indicator", "UTF8_DATA"),
        ] {
            assert_eq!(header(&reply, name), Some(value), "{name}");
        }
    }

    #[test]
    fn no_header_has_what_http_cannot_express() {
        for text in ["", " ", "a\r\nSet-Cookie: b", "t\u{f6}xt", "a\u{7f}", &"x".repeat(MAX_HEADER + 1)] {
            let properties =
                ReceivedProperties { content_type: Some(text.to_owned()), ..ReceivedProperties::default() };
            assert_eq!(header(&reply(properties), "Content-Type"), Some(ANY_TYPE), "{text:?}");
        }
        let long = vec![("a".to_owned(), "x".repeat(MAX_HEADER))];
        let properties = ReceivedProperties { user_properties: long, ..ReceivedProperties::default() };
        assert_eq!(header(&reply(properties), "x-amz-mqtt5-user-properties"), None);
        assert_eq!(header(&reply(ReceivedProperties::default()), "Content-Type"), Some(ANY_TYPE));
    }
}
