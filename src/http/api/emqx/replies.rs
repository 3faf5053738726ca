//! Replies in the form of EMQX.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::reason_codes::{IMPLEMENTATION_SPECIFIC, QOS_NOT_SUPPORTED, QUOTA_EXCEEDED, RETAIN_NOT_SUPPORTED};
use crate::http::reply::{Reply, Told};
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

/// Makes the reply for one message, with the same identifier each time.
pub fn single() -> impl Fn(Told) -> Reply + Clone {
    let ids = Ids::new();
    move |told| {
        let outcome = match told {
            Told::Published(outcome) => outcome,
            told => return refused(Reply::from(told)),
        };
        let reply = match &outcome {
            Err(failure) => Reply::from(failure.clone()),
            Ok(published) if has_no_subscriber(*published) => Reply::accepted(),
            Ok(_) => Reply::success(),
        };
        reply.with_json(&ids.body(0, outcome))
    }
}

/// Makes the reply for many messages: 503 if one of them failed for any reason, as EMQX has no other status for that.
pub fn bulk() -> impl Fn(Told<Vec<Outcome>>) -> Reply + Clone {
    let ids = Ids::new();
    move |told| {
        let outcomes = match told {
            Told::Published(outcomes) => outcomes,
            told => return refused(Reply::from(told)),
        };
        let reply = if outcomes.iter().any(Result::is_err) {
            Reply::unavailable()
        } else if outcomes.iter().flatten().any(|published| has_no_subscriber(*published)) {
            Reply::accepted()
        } else {
            Reply::success()
        };
        let bodies = outcomes.into_iter().enumerate().map(|(index, outcome)| ids.body(index, outcome));
        reply.with_json(&bodies.collect::<Vec<_>>())
    }
}

/// The identifiers of the messages of one request.
#[derive(Debug, Clone, Copy)]
struct Ids(u64);

impl Ids {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self(NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// A unique identifier of 32 hexadecimal digits, half of which are those of this run of the daemon.
    fn id(self, index: usize) -> String {
        format!("{:016X}{:012X}{index:04X}", instance_id(), self.0)
    }

    fn body(self, index: usize, outcome: Outcome) -> Body {
        match outcome {
            Err(failure) => {
                let message = failure.to_string();
                let reason_code = match failure {
                    Failure::RetainNotSupported => RETAIN_NOT_SUPPORTED,
                    Failure::QosNotSupported(_) => QOS_NOT_SUPPORTED,
                    failure => reason_code(&Reply::from(failure)),
                };
                Body::Refused { reason_code, message }
            }
            Ok(published) if has_no_subscriber(published) => {
                Body::Refused { reason_code: NO_MATCHING_SUBSCRIBERS, message: "no_matching_subscribers".to_owned() }
            }
            Ok(_) => Body::Published { id: self.id(index) },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_unique_and_has_32_digits() {
        let (ids, others) = (Ids::new(), Ids::new());
        let (one, other) = (ids.id(0), ids.id(999));
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
        assert!(one == ids.id(0) && one != others.id(0));
        assert_eq!(one[..16], other[..16]);
    }

    #[test]
    fn outcomes_have_the_status_and_the_body_of_emqx() {
        let acknowledged = |reason_code| Ok(Published::Acknowledged { packet_identifier: 1, reason_code });
        let text = |reply: &Reply| String::from_utf8(reply.body().into_owned()).unwrap();
        let nobody = r#"{"reason_code":16,"message":"no_matching_subscribers"}"#;
        for good in [Ok(Published::HandedOver), acknowledged(Some(0)), acknowledged(None)] {
            let reply = single()(Told::Published(good));
            assert!(reply.status() == 200 && text(&reply).starts_with(r#"{"id":""#), "{reply:?}");
        }
        let reply = single()(Told::Published(acknowledged(Some(16))));
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
            let reply = single()(Told::Published(Err(failure.clone())));
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
            assert_eq!(bulk()(Told::Published(outcomes.clone())).status(), status, "{outcomes:?}");
        }
        let two = bulk()(Told::Published(vec![acknowledged(Some(16)), acknowledged(Some(16))]));
        assert_eq!(text(&two), format!("[{nobody},{nobody}]"));
    }
}
