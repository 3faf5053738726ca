//! The reply where the broker refuses a topic filter, and where a request over MQTT has no answer.

use super::{Reply, ReturnCode};
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED};
use crate::mqtt::{NoAnswer, Refusal};

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::NotConnected | Refusal::Busy | Refusal::Stopping => (503, ReturnCode::NoConnection),
            Refusal::TooManyFilters | Refusal::TooManyListeners => (503, ReturnCode::QueueSize),
            Refusal::Unknown => (504, ReturnCode::ConnectionLost),
            Refusal::Refused(NOT_AUTHORIZED) => (403, ReturnCode::AclDenied),
            Refusal::Refused(_) | Refusal::LeftOut => (502, ReturnCode::Unknown),
            Refusal::OfConfiguration => (409, ReturnCode::Invalid),
            Refusal::QosNotSupported | Refusal::RetainedNotAvailable => (501, ReturnCode::NotSupported),
        };
        let reason_code = if let Refusal::Refused(code) = refusal { Some(code) } else { None };
        Self { reason_code, ..Self::refusal(status, code, refusal.to_string()) }
    }
}

impl From<NoAnswer> for Reply {
    fn from(failure: NoAnswer) -> Self {
        let words = failure.to_string();
        match failure {
            NoAnswer::Publish(failure) => Self::from(failure),
            NoAnswer::Subscribe(refusal) => Self { error: Some(words), ..Self::from(refusal) },
            NoAnswer::NobodySubscribes => {
                Self { reason_code: Some(NO_MATCHING_SUBSCRIBERS), ..Self::refusal(404, ReturnCode::NotFound, words) }
            }
            NoAnswer::TimedOut | NoAnswer::Stopping => Self::refusal(504, ReturnCode::ConnectionLost, words),
            NoAnswer::TopicTaken | NoAnswer::TooManyRequests => Self::refusal(503, ReturnCode::QueueSize, words),
            NoAnswer::NotPossible => Self::refusal(501, ReturnCode::NotSupported, words),
        }
    }
}
