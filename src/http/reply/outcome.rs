//! What became of a message, as an answer.

use super::{Code, RETRY_AFTER, Reply, Value};
use crate::mqtt::{Failure, Outcome, Published};

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(published) => Self::from(published),
            Err(failure) => Self::from(failure),
        }
    }
}

impl From<Published> for Reply {
    /// 200: what was published is with the broker, or as near as its quality of service can tell.
    fn from(published: Published) -> Self {
        let reply = Self::success();
        match published {
            Published::Written => reply,
            Published::Acknowledged { packet_identifier, reason_code } => {
                Self { packet_id: Some(packet_identifier), reason_code, ..reply }
            }
        }
    }
}

/// The broker's reason code for a publish that its access control denies (MQTT 5, 3.4.2.1).
const NOT_AUTHORIZED: u8 = 135;

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        let (status, code) = match failure {
            Failure::NotConnected | Failure::Busy | Failure::Stopping => (503, Code::NoConnection),
            Failure::TooManyWaiting => (503, Code::QueueSize),
            Failure::PacketTooLarge { .. } => (413, Code::PayloadSize),
            Failure::RetainNotSupported | Failure::QosNotSupported(_) | Failure::PropertiesNotSupported => {
                (501, Code::NotSupported)
            }
            Failure::Refused(NOT_AUTHORIZED) => (403, Code::AclDenied),
            Failure::Refused(_) | Failure::GivenUp => (502, Code::Unknown),
            Failure::Unknown => (504, Code::ConnectionLost),
        };
        let reason_code = if let Failure::Refused(code) = failure { Some(code) } else { None };
        let refusal = Self { reason_code, ..Self::refusal(status, code, failure.to_string()) };
        if status == 503 { refusal.with("Retry-After", Value::Fixed(RETRY_AFTER)) } else { refusal }
    }
}
