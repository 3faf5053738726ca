//! An answer as the bytes that the client gets (RFC 9112, 4 to 6).
//!
//! The library could write it too, but knows no way to say that a connection ends, or that one in HTTP/1.0 does not.

use std::io::Write;
use std::time::SystemTime;

use httpdate::HttpDate;
use tiny_http::StatusCode;

use super::reply::Reply;

/// What the request and the state of its connection make of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// The value of `Connection`, if it needs one.
    pub connection: Option<&'static str>,
    /// The length of the body is told, and the body is not sent (RFC 9110, 9.3.2).
    pub without_body: bool,
}

impl Form {
    /// What is said on a connection that ends before there is a request.
    pub const LAST: Self = Self { connection: Some("close"), without_body: false };

    /// The head, and the body if there is to be one.
    pub fn write(self, reply: &Reply) -> Vec<u8> {
        let (status, body) = (StatusCode(reply.status()), reply.body());
        let mut bytes = Vec::with_capacity(256 + body.len());
        let date = HttpDate::from(SystemTime::now());
        // writing to memory cannot fail
        let _ = write!(bytes, "HTTP/1.1 {} {}\r\nDate: {date}\r\n", status.0, status.default_reason_phrase());
        for (name, value) in reply.headers().chain(self.connection.map(|value| ("Connection", value))) {
            let _ = write!(bytes, "{name}: {value}\r\n");
        }
        // no content, no length (RFC 9110, 8.6)
        if status.0 != 204 {
            let _ = write!(bytes, "Content-Length: {}\r\n", body.len());
        }
        bytes.extend_from_slice(b"\r\n");
        if !self.without_body {
            bytes.extend_from_slice(&body);
        }
        bytes
    }
}
