//! The reply for the outcome of a publish, a subscription or a request.

use super::{Reply, ReturnCode};
use crate::memory::Full;
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED, PACKET_TOO_LARGE};
use crate::mqtt::{Failure, NoAnswer, Outcome, Published, Refusal};

impl From<Full> for Reply {
    fn from(full: Full) -> Self {
        Self::from(Failure::from(full))
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        outcome.map_or_else(Self::from, Self::from)
    }
}

impl From<Published> for Reply {
    /// 200: the broker has acknowledged the message; at QoS 0, the connection has it.
    fn from(published: Published) -> Self {
        let reply = Self::success();
        match published {
            Published::HandedOver => reply,
            Published::Acknowledged { packet_identifier, reason_code } => {
                Self { packet_id: Some(packet_identifier), reason_code, ..reply }
            }
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        let reason_code = failure.reason_code();
        let (status, code) = match &failure {
            _ if reason_code == Some(PACKET_TOO_LARGE) => (413, ReturnCode::PayloadSize),
            _ if reason_code == Some(NOT_AUTHORIZED) => (403, ReturnCode::AclDenied),
            Failure::NotConnected | Failure::NotReady(_) | Failure::Busy | Failure::Stopping => {
                (503, ReturnCode::NoConnection)
            }
            Failure::TooManyWaiting | Failure::NoRoom => (503, ReturnCode::QueueSize),
            Failure::ShareTaken => (429, ReturnCode::QueueSize),
            Failure::PacketTooLarge { .. } | Failure::TooLargeForBroker { .. } => (413, ReturnCode::PayloadSize),
            Failure::RetainNotSupported | Failure::QosNotSupported(_) | Failure::PropertiesNotSupported => {
                (501, ReturnCode::NotSupported)
            }
            Failure::Refused(_) | Failure::RefusedSaying { .. } | Failure::GivenUp => (502, ReturnCode::Unknown),
            Failure::Unknown => (504, ReturnCode::ConnectionLost),
        };
        Self { reason_code, ..Self::refusal(status, code, failure.to_string()) }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::NotConnected | Refusal::Busy | Refusal::Stopping => (503, ReturnCode::NoConnection),
            Refusal::TooManyFilters | Refusal::TooManyListeners => (503, ReturnCode::QueueSize),
            Refusal::Unknown => (504, ReturnCode::ConnectionLost),
            Refusal::Refused(NOT_AUTHORIZED) => (403, ReturnCode::AclDenied),
            Refusal::Refused(_) | Refusal::LeftOut => (502, ReturnCode::Unknown),
            Refusal::OfConfiguration => (409, ReturnCode::Invalid),
            Refusal::QosNotSupported => (501, ReturnCode::NotSupported),
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
