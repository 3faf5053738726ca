//! The body of a `POST /publish`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mqtt_bridge::http::publish_body as parse;
use mqtt_bridge::message::{Message, MqttString};
use serde_json::{Map, Value, json};

use super::{assert_one_printable_line, is_forbidden, is_legal_name};

const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// A body is refused in one line, or becomes a message that keeps the rules, says what the body says, and can be
/// encoded again.
pub fn publish_body(body: &[u8]) {
    let (message, timeout) = match parse(body, MAX_TIMEOUT) {
        Ok(accepted) => accepted,
        Err(error) => return assert_one_printable_line(&error),
    };
    assert_rules(&message, timeout);
    let Value::Object(again) = body_of(&message, timeout) else { unreachable!("it is written as an object") };
    assert_eq!(parse(Value::Object(again.clone()).to_string().as_bytes(), MAX_TIMEOUT), Ok((message.clone(), timeout)));
    // serde_json with `Value` accepts less: numbers of limited size, values of limited depth
    if let Ok(Value::Object(said)) = serde_json::from_slice(body) {
        assert_said(&said, &again);
        let payload = said.get("msg").or(said.get("payload")).expect("it is needed");
        match said.get("payload_encoding").and_then(Value::as_str) {
            Some("base64") => assert_eq!(payload.as_str(), Some(STANDARD.encode(&message.payload).as_str())),
            _ => assert_payload_of(payload, &message),
        }
    }
}

fn assert_rules(message: &Message, timeout: Option<Duration>) {
    let properties = &message.properties;
    assert!(is_legal_name(message.topic.as_str()), "{:?}", message.topic);
    assert!(properties.response_topic.as_ref().is_none_or(|topic| is_legal_name(topic.as_str())), "{properties:?}");
    assert!(properties.correlation_data.as_ref().is_none_or(|data| data.len() <= 65_535), "{properties:?}");
    let pairs = properties.user_properties.iter().flat_map(|(name, value)| [name, value]);
    for text in pairs.chain(&properties.content_type).map(MqttString::as_str) {
        assert!(text.len() <= 65_535 && !text.contains(is_forbidden), "{text:?}");
    }
    assert!(timeout.is_none_or(|timeout| !timeout.is_zero() && timeout <= MAX_TIMEOUT), "{timeout:?}");
}

/// A body with the same meaning, with the payload as a string if it is text, and else in base64.
fn body_of(message: &Message, timeout: Option<Duration>) -> Value {
    let text = |text: &MqttString| text.as_str().to_owned();
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).expect("all JSON is UTF-8").to_owned();
    let given = &message.properties;
    let pairs: Vec<_> = given.user_properties.iter().map(|(name, value)| [text(name), text(value)]).collect();
    let fields = [
        ("payload_format_indicator", given.payload_format_indicator.map(|is_text| json!(u8::from(is_text)))),
        ("message_expiry_interval", given.message_expiry_interval.map(Value::from)),
        ("response_topic", given.response_topic.as_ref().map(|topic| json!(topic.as_str()))),
        ("correlation_data", given.correlation_data.as_deref().map(|data| json!(utf8(data)))),
        ("content_type", given.content_type.as_ref().map(|content_type| json!(text(content_type)))),
        ("user_properties", Some(json!(pairs))),
    ];
    let properties: Map<_, _> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let (payload, encoding) = match std::str::from_utf8(&message.payload) {
        Ok(text) => (text.to_owned(), "plain"),
        Err(_) => (STANDARD.encode(&message.payload), "base64"),
    };
    let mut body = json!({
        "topic": message.topic.as_str(),
        "msg": payload,
        "payload_encoding": encoding,
        "qos": message.qos as u8,
        "retain": message.retain,
        "properties": properties,
    });
    if let Some(timeout) = timeout {
        body["timeout"] = json!(timeout.as_secs_f64());
    }
    body
}

/// Each field has the value of the body, and there are no other fields.
fn assert_said(said: &Map<String, Value>, understood: &Map<String, Value>) {
    for (name, value) in said {
        match name.as_str() {
            "msg" | "payload" | "payload_encoding" => {}
            "properties" => {
                let names = value.as_object().expect("an object").keys();
                names.for_each(|name| assert!(understood["properties"].get(name).is_some(), "{name}"));
            }
            "timeout" => {
                let error = value.as_f64().zip(understood["timeout"].as_f64()).map(|(said, read)| (said - read).abs());
                assert!(error.is_some_and(|seconds| seconds <= 1e-9), "{value}");
            }
            // serde_json treats -0 as a floating-point number
            "qos" => assert_eq!(value.as_f64(), understood["qos"].as_f64()),
            name => assert_eq!(understood.get(name), Some(value), "{name}"),
        }
    }
}

/// The payload as docs/http-api.md defines it: a string as it is, null as empty, everything else as equivalent JSON.
fn assert_payload_of(value: &Value, message: &Message) {
    match value {
        Value::String(text) => assert_eq!(message.payload, text.as_bytes()),
        Value::Null => assert!(message.payload.is_empty()),
        other => {
            assert_eq!(serde_json::from_slice::<Value>(&message.payload).ok().as_ref(), Some(other));
            let again = [br#"{"topic":"a","msg":"#, message.payload.as_ref(), b"}"].concat();
            let (again, _) = parse(&again, MAX_TIMEOUT).expect("the payload is JSON");
            assert_eq!(again.payload, message.payload, "compact JSON is compact");
        }
    }
}
