//! The reply for the outcome of a publish.

use super::{Reply, ReturnCode};
use crate::memory::Full;
use crate::mqtt::reason::{NOT_AUTHORIZED, PACKET_TOO_LARGE};
use crate::mqtt::{Failure, Outcome, Published};

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
