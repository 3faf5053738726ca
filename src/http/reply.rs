//! Every answer that there is: its status, its code, its words.

use std::io::Cursor;

use serde::Serialize;
use tiny_http::{Header, Response};

use super::request::SHOWN;
use crate::mqtt::Refusal;
use crate::printable::Printable;

/// The tutorial's `code`, with the meanings and numbers of paho's return codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Success = 0,
    Invalid = 3,
    NoConnection = 4,
    NotFound = 6,
    PayloadSize = 9,
    NotSupported = 10,
    QueueSize = 15,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    code: Code,
    error: Option<String>,
    /// A header of our own making: nothing from a request goes into one.
    header: Option<(&'static str, &'static str)>,
}

/// The body of an answer, `code` first as in the tutorial.
#[derive(Serialize)]
struct Body {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Seconds after which a client may well try again.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "1");

impl Reply {
    /// 200: handed to a live connection.
    pub fn published() -> Self {
        Self { status: 200, code: Code::Success, error: None, header: None }
    }

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
        Self { status, code, error: Some(error), header: None }
    }

    /// The answer as the HTTP library sends it.
    pub fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let body = Body { code: self.code as u8, error: self.error };
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

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, code, header) = match refusal {
            Refusal::NotConnected | Refusal::Stopping => (503, Code::NoConnection, Some(RETRY_AFTER)),
            Refusal::QueueFull => (503, Code::QueueSize, Some(RETRY_AFTER)),
            Refusal::PacketTooLarge { .. } => (413, Code::PayloadSize, None),
            Refusal::RetainNotSupported | Refusal::QosNotSupported => (501, Code::NotSupported, None),
        };
        Self { header, ..Self::refusal(status, code, refusal.to_string()) }
    }
}
