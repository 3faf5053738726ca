//! The JSON forms of a received message: for streams, replies and webhooks.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::received::{Received, ReceivedProperties};

/// The data of a stream's event.
#[derive(Serialize)]
pub struct EventJson<'a> {
    topic: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    qos: u8,
    retain: bool,
    /// Seconds since 1970.
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
}

/// The reply to a request.
#[derive(Serialize)]
pub struct ResponseJson<'a> {
    code: u8,
    topic: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
}

/// As `properties` of a publish, except for correlation data that is not UTF-8, and user properties as an array of
/// pairs.
#[derive(Serialize, Default, PartialEq)]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(rename = "user_properties", skip_serializing_if = "<[_]>::is_empty")]
    pairs: &'a [(String, String)],
}

impl<'a> EventJson<'a> {
    /// A message that was received at this time.
    pub fn of(message: &'a Received, time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // it is not accurate beyond milliseconds
        let since = Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000);
        let (payload, payload_base64) = text_or_base64(&message.payload);
        Self {
            topic: String::from_utf8_lossy(&message.topic),
            payload,
            payload_base64,
            qos: message.qos,
            retain: message.retain,
            time: since.as_secs_f64(),
            properties: Properties::of(&message.properties, true),
        }
    }
}

impl<'a> ResponseJson<'a> {
    /// A message that is the response to a request.
    pub fn of(message: &'a Received) -> Self {
        let (payload, payload_base64) = text_or_base64(&message.payload);
        Self {
            code: 0,
            topic: String::from_utf8_lossy(&message.topic),
            payload,
            payload_base64,
            content_type: message.properties.content_type.as_deref(),
            properties: Properties::of(&message.properties, false),
        }
    }
}

impl<'a> Properties<'a> {
    /// `None` if there are none. The correlation data of a response is the bridge's own, so the client does not get it.
    fn of(properties: &'a ReceivedProperties, with_correlation_data: bool) -> Option<Self> {
        let correlation_data = properties.correlation_data.as_deref().filter(|_| with_correlation_data);
        let (correlation_data, correlation_data_base64) = correlation_data.map(text_or_base64).unwrap_or_default();
        let all = Self {
            payload_format_indicator: properties.payload_format_indicator,
            message_expiry_interval: properties.message_expiry_interval,
            response_topic: properties.response_topic.as_deref(),
            correlation_data,
            correlation_data_base64,
            content_type: properties.content_type.as_deref(),
            pairs: &properties.user_properties,
        };
        (all != Self::default()).then_some(all)
    }
}

/// UTF-8 as it is, or else other bytes in base64 (RFC 4648, 4).
fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    std::str::from_utf8(bytes).map_or_else(|_| (None, Some(STANDARD.encode(bytes))), |text| (Some(text), None))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(message: &Received) -> Value {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456);
        serde_json::to_value(EventJson::of(message, time)).unwrap()
    }

    #[test]
    fn payloads_are_text_or_base64() {
        let mut message = Received { topic: b"a/b".to_vec(), payload: "ö\n".into(), qos: 1, ..Received::default() };
        let expected = json!({"topic":"a/b","payload":"ö\n","qos":1,"retain":false,"time":1_790_000_000.123});
        assert_eq!(event(&message), expected);
        message.payload = vec![0xff, 0];
        message.retain = true;
        let expected = json!({"topic":"a/b","payload_base64":"/wA=","qos":1,"retain":true,"time":1_790_000_000.123});
        assert_eq!(event(&message), expected);
        message.payload.clear();
        assert_eq!(event(&message)["payload"], "");
    }

    #[test]
    fn properties_keep_their_order_and_their_bytes() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let properties = ReceivedProperties {
            payload_format_indicator: Some(1),
            message_expiry_interval: Some(7),
            response_topic: Some("r".to_owned()),
            correlation_data: Some(vec![0xff].into()),
            content_type: Some("text/plain".to_owned()),
            user_properties: vec![pair("b", "1"), pair("a", "2"), pair("b", "3")],
            subscription_identifiers: vec![5],
        };
        let mut message = Received { properties, ..Received::default() };
        let expected = json!({"payload_format_indicator":1,"message_expiry_interval":7,"response_topic":"r",
            "correlation_data_base64":"/w==","content_type":"text/plain",
            "user_properties":[["b","1"],["a","2"],["b","3"]]});
        assert_eq!(event(&message)["properties"], expected);
        let response = serde_json::to_value(ResponseJson::of(&message)).unwrap();
        assert_eq!((&response["code"], &response["content_type"]), (&json!(0), &json!("text/plain")));
        assert_eq!(response["properties"].get("correlation_data_base64"), None);
        message.properties = ReceivedProperties { correlation_data: Some("x".into()), ..ReceivedProperties::default() };
        assert_eq!(event(&message)["properties"], json!({"correlation_data":"x"}));
        message.properties = ReceivedProperties { subscription_identifiers: vec![5], ..ReceivedProperties::default() };
        assert_eq!(event(&message).get("properties"), None);
    }
}
