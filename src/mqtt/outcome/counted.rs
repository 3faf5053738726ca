//! How the outcome of a publish is counted.

use super::{Failure, Outcome, Published};
use crate::metrics::PublishResult;
use crate::mqtt::reason::PACKET_TOO_LARGE;

pub fn result(outcome: &Outcome) -> PublishResult {
    match outcome {
        Ok(Published::HandedOver) => PublishResult::HandedOver,
        Ok(Published::Acknowledged { .. }) => PublishResult::Acknowledged,
        Err(Failure::NotConnected | Failure::NotReady(_)) => PublishResult::NotConnected,
        Err(Failure::Busy) => PublishResult::Busy,
        Err(Failure::Stopping) => PublishResult::Stopping,
        Err(Failure::TooManyWaiting | Failure::ShareTaken | Failure::NoRoom) => PublishResult::TooManyWaiting,
        Err(Failure::PacketTooLarge { .. }) => PublishResult::TooLarge,
        Err(failure) if failure.reason_code() == Some(PACKET_TOO_LARGE) => PublishResult::TooLarge,
        Err(Failure::RetainNotSupported | Failure::QosNotSupported(_) | Failure::PropertiesNotSupported) => {
            PublishResult::NotSupported
        }
        Err(Failure::Refused(_) | Failure::RefusedSaying { .. } | Failure::TooLargeForBroker { .. }) => {
            PublishResult::Refused
        }
        Err(Failure::GivenUp) => PublishResult::GivenUp,
        Err(Failure::Unknown) => PublishResult::Unknown,
    }
}
