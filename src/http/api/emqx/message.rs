//! Reads messages as EMQX does.

use super::reason_codes::TOPIC_NAME_INVALID;
use crate::http::input::json::Fields;
use crate::http::input::payload::{self, Encoding};
use crate::http::input::properties;
use crate::http::input::values::{self, Scalar};
use crate::http::reply::{Reply, in_field};
use crate::message::{Message, Qos};

const FIELDS: &str =
    "`topic`, `payload`, `payload_encoding` (or `encoding`), `qos`, `retain`, `properties` and `clientid`";

/// The second one is the name in earlier versions of EMQX.
const ENCODINGS: [&str; 2] = ["payload_encoding", "encoding"];

/// The message in the fields of an object.
pub fn message(mut fields: Fields) -> Result<Message, Reply> {
    let topic = fields.read("topic", values::topic);
    let topic = topic.map_err(|error| Reply::invalid(error).with_reason_code(TOPIC_NAME_INVALID))?;
    let encoding = fields.read_either(ENCODINGS, payload::encoding)?.unwrap_or(Encoding::Plain);
    // EMQX ignores it too, by its documentation
    let _ = fields.take("clientid");
    let message = Message {
        topic: topic.ok_or_else(|| fields.missing("topic"))?,
        payload: payload(&mut fields, encoding)?.into(),
        qos: fields.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce),
        retain: fields.read("retain", Scalar::boolean)?.unwrap_or(false),
        properties: fields.read("properties", properties::read)?.unwrap_or_default(),
    };
    fields.finish(FIELDS)?;
    Ok(message)
}

/// It must be a string.
fn payload(fields: &mut Fields, encoding: Encoding) -> Result<Vec<u8>, String> {
    let value = fields.take("payload").ok_or_else(|| fields.missing("payload"))?;
    in_field("payload", value.text().and_then(|_| encoding.decode(value)))
}

#[cfg(test)]
mod tests {
    use super::super::replies;
    use super::*;
    use crate::http::api::bulk;

    fn parse(body: &str) -> Result<Message, Reply> {
        message(Fields::parse(body.as_bytes())?)
    }

    #[test]
    fn every_field_of_emqx_is_read() {
        let body = r#"{"payload_encoding":"base64","topic":"a","clientid":"c","qos":1,"payload":"AP8=","retain":true,
            "properties":{"user_properties":{"foo":"bar"},"content_type":"text/plain"}}"#;
        let message = parse(body).unwrap();
        assert_eq!((message.topic.as_str(), &message.payload[..], message.retain), ("a", &b"\0\xff"[..], true));
        assert_eq!(message.qos, Qos::AtLeastOnce);
        assert_eq!(message.properties.user_properties.len(), 1);
        assert_eq!(&parse(r#"{"topic":"a","payload":"YQ==","encoding":"base64"}"#).unwrap().payload[..], b"a");
        assert_eq!(&parse(r#"{"topic":"a","payload":""}"#).unwrap().payload[..], b"");
    }

    #[test]
    fn each_error_has_its_reason_code_and_names_the_field() {
        for (body, reason_code, error) in [
            (r#"{"payload":"x"}"#, 131, "field `topic` is missing"),
            (r#"{"topic":"a"}"#, 131, "field `payload` is missing"),
            (r#"{"topic":"","payload":"x"}"#, 144, "`topic` must not be empty"),
            (r#"{"topic":1,"payload":"x"}"#, 144, "`topic` must be a string, not 1"),
            (r#"{"topic":"a","payload":{}}"#, 131, "`payload` must be a string, not an object"),
            (r#"{"topic":"a","payload":1}"#, 131, "`payload` must be a string, not 1"),
            (r#"{"topic":"a","payload":null}"#, 131, "`payload` must be a string, not null"),
            (
                r#"{"topic":"a","payload":"a","payload_encoding":"base64"}"#,
                131,
                "`payload` must be base64 with its padding (RFC 4648, 4), and is not",
            ),
            (r#"{"topic":"a","payload":"a","encoding":"hex"}"#, 131, "`encoding` must be \"plain\" or \"base64\""),
            (
                r#"{"topic":"a","payload":"a","encoding":"plain","payload_encoding":"plain"}"#,
                131,
                "fields `payload_encoding` and `encoding` are two names for one thing",
            ),
            (
                r#"{"topic":"a","payload":"a","msg":"a"}"#,
                131,
                "unknown field `msg`: there are `topic`, `payload`, `payload_encoding` (or `encoding`), `qos`, `retain`, `properties` and `clientid`",
            ),
        ] {
            let refusal = replies::refused(parse(body).unwrap_err());
            let found: serde_json::Value = serde_json::from_slice(&refusal.body()).unwrap();
            assert_eq!(found, serde_json::json!({ "reason_code": reason_code, "message": error }), "{body}");
        }
        let mut items = bulk::parse(br#"[{"topic":"a","payload":"x"},{"topic":"+","payload":"x"}]"#, message).unwrap();
        let second = items.find_map(Result::err).unwrap();
        assert_eq!(second.reason_code(), Some(144));
        assert!(second.error().starts_with("item 1: `topic` must not contain"), "{}", second.error());
    }
}
