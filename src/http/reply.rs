//! Every answer that there is: its status, its code, its words.

use std::io::Cursor;

use serde::Serialize;
use tiny_http::{Header, Response};

use crate::mqtt::{Failure, Outcome, Published};
use crate::printable::Printable;

/// How much of a client's words an error text repeats, in bytes.
pub const SHOWN: usize = 80;

/// The tutorial's `code`, with the meanings and numbers of paho's return codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Success = 0,
    Invalid = 3,
    NoConnection = 4,
    NotFound = 6,
    ConnectionLost = 7,
    PayloadSize = 9,
    NotSupported = 10,
    AclDenied = 12,
    Unknown = 13,
    QueueSize = 15,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    code: Code,
    error: Option<String>,
    packet_id: Option<u16>,
    reason_code: Option<u8>,
    /// A header of our own making: nothing from a request goes into one.
    header: Option<(&'static str, &'static str)>,
}

/// The body of an answer, `code` first as in the tutorial.
#[derive(Serialize)]
struct Body {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
}

/// Seconds after which a client may well try again.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "1");

impl Reply {
    /// 400: the request breaks a rule.
    pub fn invalid(error: String) -> Self {
        Self::refusal(400, Code::Invalid, error)
    }

    /// 404: there is no such path.
    pub fn not_found(path: &str) -> Self {
        Self::refusal(
            404,
            Code::NotFound,
            format!("there is nothing at `{}`: try `POST /publish`", Printable::new(path, SHOWN)),
        )
    }

    /// 405: the path has other methods, which `Allow` names (RFC 9110, 15.5.6).
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let error = format!("the method must be {allowed}");
        Self { header: Some(("Allow", allowed)), ..Self::refusal(405, Code::Invalid, error) }
    }

    /// 413: the body is longer than `max-body`.
    pub fn body_too_large(max: usize) -> Self {
        Self::refusal(413, Code::PayloadSize, format!("not sent: the body is over the limit of {max} bytes"))
    }

    /// 415: the body is not JSON.
    pub fn unsupported_media_type(error: String) -> Self {
        Self::refusal(415, Code::Invalid, error)
    }

    fn refusal(status: u16, code: Code, error: String) -> Self {
        Self { error: Some(error), ..Self::plain(status, code) }
    }

    fn plain(status: u16, code: Code) -> Self {
        Self { status, code, error: None, packet_id: None, reason_code: None, header: None }
    }

    /// The answer as the HTTP library sends it.
    pub fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let Self { packet_id, reason_code, .. } = self;
        let body = Body { code: self.code as u8, error: self.error, packet_id, reason_code };
        // a number and a string always have a JSON form
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let fixed = [("Content-Type", "application/json")].into_iter().chain(self.header);
        let headers = fixed.filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
        let length = json.len();
        Response::new(self.status.into(), headers, Cursor::new(json), Some(length), None)
    }

    #[cfg(test)]
    pub fn status(&self) -> u16 {
        self.status
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
        let reply = Self::plain(200, Code::Success);
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
        let header = (status == 503).then_some(RETRY_AFTER);
        Self { reason_code, header, ..Self::refusal(status, code, failure.to_string()) }
    }
}
