//! The headers of HTTP that tell what a received message has beside its payload.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::received::{Received, ReceivedProperties};

/// The type of a payload without a content type, or with one that HTTP cannot express (RFC 9110, 8.3).
const ANY_TYPE: &str = "application/octet-stream";
/// The longest value of a header, in bytes: proxies, clients and servers refuse a head that is a few times longer.
pub const MAX_HEADER: usize = 4096;

impl Received {
    /// The value of `Content-Type`: the content type of the message, if it has one that HTTP can express.
    #[must_use]
    pub fn media_type(&self) -> String {
        let content_type = self.properties.content_type.clone();
        content_type.filter(|text| is_header(text) && !text.trim().is_empty()).unwrap_or_else(|| ANY_TYPE.to_owned())
    }

    /// The QoS, whether it was retained, and properties; values that are too long are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let properties = &self.properties;
        let all = [
            ("MQTT-QoS", Some(self.qos.to_string())),
            ("MQTT-Retain", Some(self.retain.to_string())),
            ("x-amz-mqtt5-user-properties", user_properties(properties)),
            ("x-amz-mqtt5-correlation-data", properties.correlation_data.as_ref().map(|data| STANDARD.encode(data))),
            ("x-amz-mqtt5-payload-format-indicator", indicator(properties).map(str::to_owned)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|text| is_header(text))?)))
    }
}

/// Whether it can be the value of a header.
fn is_header(text: &str) -> bool {
    text.len() <= MAX_HEADER && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
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

    fn header(message: &Received, name: &str) -> Option<String> {
        message.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    #[test]
    fn no_header_has_what_http_cannot_express() {
        for text in ["", " ", "a\r\nSet-Cookie: b", "t\u{f6}xt", "a\u{7f}", &"x".repeat(MAX_HEADER + 1)] {
            let properties =
                ReceivedProperties { content_type: Some(text.to_owned()), ..ReceivedProperties::default() };
            let message = Received { properties, ..Received::default() };
            assert_eq!(message.media_type(), ANY_TYPE, "{text:?}");
        }
        let long = vec![("a".to_owned(), "x".repeat(MAX_HEADER))];
        let properties = ReceivedProperties { user_properties: long, ..ReceivedProperties::default() };
        let message = Received { properties, ..Received::default() };
        assert_eq!(header(&message, "x-amz-mqtt5-user-properties"), None);
        assert_eq!(header(&message, "MQTT-Retain"), Some("false".to_owned()));
    }
}
