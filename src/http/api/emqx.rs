//! `POST /api/v5/publish` and `/api/v5/publish/bulk`: the shapes of EMQX 5, so that its clients need another address only.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::call::{Call, Handled};
use crate::http::input::json::items;
use crate::http::input::json::{Fields, Value};
use crate::http::input::payload::{self, Encoding};
use crate::http::input::properties;
use crate::http::input::values::{self, Scalar};
use crate::http::reply::{Reply, in_field, in_item};
use crate::instance_id::instance_id;
use crate::message::{Message, Qos};
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED};
use crate::mqtt::{Failure, Outcome, Published};

/// The path of a single publish.
pub const PUBLISH: &str = "/api/v5/publish";
/// The path of many.
pub const BULK: &str = "/api/v5/publish/bulk";

const FIELDS: &str =
    "`topic`, `payload`, `payload_encoding` (or `encoding`), `qos`, `retain`, `properties` and `clientid`";

/// Reason codes of MQTT 5 (2.4); for which refusal is EMQX's to say.
const IMPLEMENTATION_SPECIFIC: u8 = 131;
const TOPIC_NAME_INVALID: u8 = 144;
const QUOTA_EXCEEDED: u8 = 151;
const RETAIN_NOT_SUPPORTED: u8 = 154;
const QOS_NOT_SUPPORTED: u8 = 155;

/// Publishes the message of a body.
pub fn publish(mut call: Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let body = call.json()?;
    let message = Fields::parse(&body).map_err(Invalid::from).and_then(message)?;
    call.principal.may_publish(&message)?;
    Ok(call.publish(message, None, answer))
}

/// Publishes the messages of a body.
pub fn publish_all(mut call: Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let body = call.json()?;
    let messages = call.gather(body.len(), messages(&body)?)?;
    drop(body);
    call.principal.may_publish_all(&messages)?;
    Ok(call.publish_all(messages, None, answer_all))
}

/// An answer of ours in EMQX's form, for these paths; what has this form already stays.
pub fn translate(path: &str, reply: Reply) -> Reply {
    if path != PUBLISH && path != BULK {
        return reply;
    }
    let message = reply.error().to_owned();
    let body = match reply.status() {
        401 => Said::Stranger { code: "BAD_API_KEY_OR_SECRET", message },
        _ => Said::Refused { reason_code: reason_code(&reply), message },
    };
    reply.with_json(&body)
}

/// The body of an answer, or a part of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Said {
    Published { id: String },
    Refused { reason_code: u8, message: String },
    Stranger { code: &'static str, message: String },
}

fn answer(outcome: Outcome) -> Reply {
    let reply = match &outcome {
        Err(failure) => Reply::from(failure.clone()),
        Ok(published) if has_no_subscriber(*published) => Reply::accepted(),
        Ok(_) => Reply::success(),
    };
    reply.with_json(&Said::from(outcome))
}

/// 503 if one failed, whatever the reason: EMQX has no more to say.
fn answer_all(outcomes: Vec<Outcome>) -> Reply {
    let failed = outcomes.iter().any(Result::is_err);
    let reply = if failed {
        Reply::unavailable()
    } else if outcomes.iter().flatten().any(|published| has_no_subscriber(*published)) {
        Reply::accepted()
    } else {
        Reply::success()
    };
    reply.with_json(&outcomes.into_iter().map(Said::from).collect::<Vec<_>>())
}

impl From<Outcome> for Said {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Err(failure) => {
                let message = failure.to_string();
                let reason_code = match failure {
                    Failure::RetainNotSupported => RETAIN_NOT_SUPPORTED,
                    Failure::QosNotSupported(_) => QOS_NOT_SUPPORTED,
                    failure => reason_code(&Reply::from(failure)),
                };
                Self::Refused { reason_code, message }
            }
            Ok(published) if has_no_subscriber(published) => {
                Self::Refused { reason_code: NO_MATCHING_SUBSCRIBERS, message: "no_matching_subscribers".to_owned() }
            }
            Ok(_) => Self::Published { id: new_id() },
        }
    }
}

fn has_no_subscriber(published: Published) -> bool {
    matches!(published, Published::Acknowledged { reason_code: Some(NO_MATCHING_SUBSCRIBERS), .. })
}

/// What comes nearest to a refusal, where the broker gave none.
fn reason_code(reply: &Reply) -> u8 {
    reply.reason_code().unwrap_or(match reply.status() {
        403 => NOT_AUTHORIZED,
        413 | 429 => QUOTA_EXCEEDED,
        503 if !reply.is_not_connected() => QUOTA_EXCEEDED,
        _ => IMPLEMENTATION_SPECIFIC,
    })
}

/// 32 hexadecimal digits, each time others: half of them are of this run of the daemon.
fn new_id() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{:016X}{:016X}", instance_id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq)]
struct Invalid {
    reason_code: u8,
    what: String,
}

impl From<String> for Invalid {
    fn from(what: String) -> Self {
        Self { reason_code: IMPLEMENTATION_SPECIFIC, what }
    }
}

impl From<&str> for Invalid {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

impl From<Invalid> for Reply {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.what).with_reason_code(invalid.reason_code)
    }
}

fn messages(body: &[u8]) -> Result<impl Iterator<Item = Result<Message, Invalid>>, Invalid> {
    let item = |(number, item): (usize, Value)| {
        let message = Fields::of(item).map_err(Invalid::from).and_then(message);
        message.map_err(|invalid| Invalid { what: in_item(number, &invalid.what), ..invalid })
    };
    Ok(items::parse(body)?.into_iter().enumerate().map(item))
}

fn message(mut fields: Fields) -> Result<Message, Invalid> {
    let topic = fields.read("topic", values::topic);
    let topic = topic.map_err(|what| Invalid { reason_code: TOPIC_NAME_INVALID, what })?;
    let encoding = encoding(&mut fields)?;
    // told by EMQX's own documentation to be of no use
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

/// `encoding` is the name that it had before.
fn encoding(fields: &mut Fields) -> Result<Encoding, String> {
    let (new, old) = (fields.read("payload_encoding", payload::encoding)?, fields.read("encoding", payload::encoding)?);
    match (new, old) {
        (Some(_), Some(_)) => Err("fields `payload_encoding` and `encoding` are two names for one thing".to_owned()),
        (new, old) => Ok(new.or(old).unwrap_or(Encoding::Plain)),
    }
}

/// A string, and no other value.
fn payload(fields: &mut Fields, encoding: Encoding) -> Result<Vec<u8>, String> {
    let value = fields.take("payload").ok_or_else(|| fields.missing("payload"))?;
    in_field("payload", value.text().and_then(|_| encoding.decode(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Message, Invalid> {
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
    fn each_refusal_has_its_reason_code_and_names_the_field() {
        for (body, reason_code, what) in [
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
            assert_eq!(parse(body), Err(Invalid { reason_code, what: what.to_owned() }), "{body}");
        }
        let mut items = messages(br#"[{"topic":"a","payload":"x"},{"topic":"+","payload":"x"}]"#).unwrap();
        let second = items.find_map(Result::err).unwrap();
        assert_eq!(second.reason_code, 144);
        assert!(second.what.starts_with("item 1: `topic` must not contain"), "{}", second.what);
    }

    #[test]
    fn every_id_is_another_one_of_32_digits() {
        let (one, other) = (new_id(), new_id());
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
        assert_eq!(one[..16], other[..16]);
    }

    #[test]
    fn outcomes_have_the_status_and_the_words_of_emqx() {
        let acknowledged = |reason_code| Ok(Published::Acknowledged { packet_identifier: 1, reason_code });
        let text = |reply: &Reply| String::from_utf8(reply.body().into_owned()).unwrap();
        let nobody = r#"{"reason_code":16,"message":"no_matching_subscribers"}"#;
        for good in [Ok(Published::HandedOver), acknowledged(Some(0)), acknowledged(None)] {
            let reply = answer(good);
            assert!(reply.status() == 200 && text(&reply).starts_with(r#"{"id":""#), "{reply:?}");
        }
        let reply = answer(acknowledged(Some(16)));
        assert_eq!((reply.status(), text(&reply).as_str()), (202, nobody));
        for (failure, status, reason_code) in [
            (Failure::NotConnected, 503, 131),
            (Failure::TooManyWaiting, 503, 151),
            (Failure::NoRoom, 503, 151),
            (Failure::PacketTooLarge { size: 2, limit: 1 }, 413, 151),
            (Failure::RetainNotSupported, 501, 154),
            (Failure::QosNotSupported(1), 501, 155),
            (Failure::PropertiesNotSupported, 501, 131),
            (Failure::Refused(135), 403, 135),
            (Failure::Refused(151), 502, 151),
            (Failure::Unknown, 504, 131),
        ] {
            let reply = answer(Err(failure.clone()));
            let words = format!(
                "{{\"reason_code\":{reason_code},\"message\":\"{}\"}}",
                failure.to_string().replace('"', "\\\"")
            );
            assert_eq!((reply.status(), text(&reply)), (status, words));
        }
        for (outcomes, status) in [
            (vec![acknowledged(Some(0)), Ok(Published::HandedOver)], 200),
            (vec![acknowledged(Some(0)), acknowledged(Some(16))], 202),
            (vec![acknowledged(Some(16)), Err(Failure::Busy), acknowledged(Some(0))], 503),
        ] {
            assert_eq!(answer_all(outcomes.clone()).status(), status, "{outcomes:?}");
        }
        let two = answer_all(vec![acknowledged(Some(16)), acknowledged(Some(16))]);
        assert_eq!(text(&two), format!("[{nobody},{nobody}]"));
    }
}
