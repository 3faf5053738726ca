//! Replies in the form of EMQX.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::reason_codes::{IMPLEMENTATION_SPECIFIC, QOS_NOT_SUPPORTED, QUOTA_EXCEEDED, RETAIN_NOT_SUPPORTED};
use crate::http::reply::Reply;
use crate::instance_id::instance_id;
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED};
use crate::mqtt::{Failure, Outcome, Published};

/// A refusal in the form of EMQX.
pub fn refused(refusal: Reply) -> Reply {
    let message = refusal.error().to_owned();
    let body = match refusal.status() {
        401 => Body::Unauthorized { code: "BAD_API_KEY_OR_SECRET", message },
        _ => Body::Refused { reason_code: reason_code(&refusal), message },
    };
    refusal.with_json(&body)
}

/// The body of a reply, or the part for one message.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Body {
    Published { id: String },
    Refused { reason_code: u8, message: String },
    Unauthorized { code: &'static str, message: String },
}

/// The reply for one message.
pub fn single(outcome: Outcome) -> Reply {
    let reply = match &outcome {
        Err(failure) => Reply::from(failure.clone()),
        Ok(published) if has_no_subscriber(*published) => Reply::accepted(),
        Ok(_) => Reply::success(),
    };
    reply.with_json(&Body::from(outcome))
}

/// The reply for many messages: 503 if one of them failed for any reason, as EMQX has no other status for that.
pub fn bulk(outcomes: Vec<Outcome>) -> Reply {
    let reply = if outcomes.iter().any(Result::is_err) {
        Reply::unavailable()
    } else if outcomes.iter().flatten().any(|published| has_no_subscriber(*published)) {
        Reply::accepted()
    } else {
        Reply::success()
    };
    reply.with_json(&outcomes.into_iter().map(Body::from).collect::<Vec<_>>())
}

impl From<Outcome> for Body {
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

/// The reason code that comes nearest to a refusal, unless the broker gave one.
fn reason_code(reply: &Reply) -> u8 {
    reply.reason_code().unwrap_or(match reply.status() {
        403 => NOT_AUTHORIZED,
        413 | 429 => QUOTA_EXCEEDED,
        503 if !reply.is_not_connected() => QUOTA_EXCEEDED,
        _ => IMPLEMENTATION_SPECIFIC,
    })
}

/// A unique identifier of 32 hexadecimal digits, half of which are those of this run of the daemon.
fn new_id() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{:016X}{:016X}", instance_id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_unique_and_has_32_digits() {
        let (one, other) = (new_id(), new_id());
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
        assert_eq!(one[..16], other[..16]);
    }

    #[test]
    fn outcomes_have_the_status_and_the_body_of_emqx() {
        let acknowledged = |reason_code| Ok(Published::Acknowledged { packet_identifier: 1, reason_code });
        let text = |reply: &Reply| String::from_utf8(reply.body().into_owned()).unwrap();
        let nobody = r#"{"reason_code":16,"message":"no_matching_subscribers"}"#;
        for good in [Ok(Published::HandedOver), acknowledged(Some(0)), acknowledged(None)] {
            let reply = single(good);
            assert!(reply.status() == 200 && text(&reply).starts_with(r#"{"id":""#), "{reply:?}");
        }
        let reply = single(acknowledged(Some(16)));
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
            let reply = single(Err(failure.clone()));
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
            assert_eq!(bulk(outcomes.clone()).status(), status, "{outcomes:?}");
        }
        let two = bulk(vec![acknowledged(Some(16)), acknowledged(Some(16))]);
        assert_eq!(text(&two), format!("[{nobody},{nobody}]"));
    }
}
