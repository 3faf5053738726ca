//! The reply whose body is the payload of a received message.

use super::Reply;
use crate::message::Received;

impl Reply {
    /// 200: the payload, unchanged. Properties that are headers of a request have the same headers here; values that
    /// are too long are left out. The publisher chose the content type, so a browser must not run scripts in the
    /// payload.
    pub fn payload(message: &Received) -> Self {
        let reply = Self::document(message.media_type(), message.payload.clone())
            .not_stored()
            .with("Content-Security-Policy", "sandbox")
            .with("X-Content-Type-Options", "nosniff");
        message.headers().fold(reply, |reply, (name, value)| reply.with(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ReceivedProperties;

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
}
