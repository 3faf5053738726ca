//! What became of a message, of a topic filter or of a request, as an answer.

use super::{Code, Reply};
use crate::memory::Full;
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED, PACKET_TOO_LARGE};
use crate::mqtt::{Failure, NoAnswer, Outcome, Published, Refusal};

impl Reply {
    /// 503: all requests together hold as much memory as they may.
    pub fn no_room() -> Self {
        Self::from(Failure::NoRoom)
    }

    /// 503: the same for what sends nothing.
    pub fn document_without_room() -> Self {
        let error = "all requests together hold as much memory as they may: there is none for so long an answer";
        Self::refusal(503, Code::QueueSize, error.to_owned()).with_pause()
    }

    /// 504: a device answered, and there is no memory for what it said. To ask again might have it act again.
    pub fn answer_without_room() -> Self {
        let error = "sent and answered, but all requests together hold as much memory as they may, so that the answer \
                     is dropped";
        Self::refusal(504, Code::ConnectionLost, error.to_owned())
    }
}

impl From<Full> for Reply {
    fn from(full: Full) -> Self {
        Self::from(Failure::from(full))
    }
}

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
            _ if reason_code == Some(PACKET_TOO_LARGE) => (413, Code::PayloadSize),
            _ if reason_code == Some(NOT_AUTHORIZED) => (403, Code::AclDenied),
            Failure::NotConnected | Failure::NotReady(_) | Failure::Busy | Failure::Stopping => {
                (503, Code::NoConnection)
            }
            Failure::TooManyWaiting | Failure::NoRoom => (503, Code::QueueSize),
            Failure::ShareTaken => (429, Code::QueueSize),
            Failure::PacketTooLarge { .. } | Failure::TooLargeForBroker { .. } => (413, Code::PayloadSize),
            Failure::RetainNotSupported | Failure::QosNotSupported(_) | Failure::PropertiesNotSupported => {
                (501, Code::NotSupported)
            }
            Failure::Refused(_) | Failure::RefusedSaying { .. } | Failure::GivenUp => (502, Code::Unknown),
            Failure::Unknown => (504, Code::ConnectionLost),
        };
        Self { reason_code, ..Self::refusal(status, code, failure.to_string()) }.with_pause()
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::NotConnected | Refusal::Busy | Refusal::Stopping => (503, Code::NoConnection),
            Refusal::TooManyFilters | Refusal::TooManyListeners => (503, Code::QueueSize),
            Refusal::Unknown => (504, Code::ConnectionLost),
            Refusal::Refused(NOT_AUTHORIZED) => (403, Code::AclDenied),
            Refusal::Refused(_) | Refusal::LeftOut => (502, Code::Unknown),
            Refusal::OfConfiguration => (409, Code::Invalid),
            Refusal::QosNotSupported => (501, Code::NotSupported),
        };
        let reason_code = if let Refusal::Refused(code) = refusal { Some(code) } else { None };
        Self { reason_code, ..Self::refusal(status, code, refusal.to_string()) }.with_pause()
    }
}

impl From<NoAnswer> for Reply {
    fn from(failure: NoAnswer) -> Self {
        let words = failure.to_string();
        match failure {
            NoAnswer::Publish(failure) => Self::from(failure),
            NoAnswer::Subscribe(refusal) => Self { error: Some(words), ..Self::from(refusal) },
            NoAnswer::NobodySubscribes => {
                Self { reason_code: Some(NO_MATCHING_SUBSCRIBERS), ..Self::refusal(404, Code::NotFound, words) }
            }
            NoAnswer::TimedOut | NoAnswer::Stopping => Self::refusal(504, Code::ConnectionLost, words),
            NoAnswer::TopicTaken | NoAnswer::TooManyRequests => Self::refusal(503, Code::QueueSize, words).with_pause(),
            NoAnswer::NotPossible => Self::refusal(501, Code::NotSupported, words),
        }
    }
}
