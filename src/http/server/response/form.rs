//! An answer as the bytes that the client gets (RFC 9112, 4 to 6).
//!
//! tiny_http could write it too, but knows no way to say that a connection ends, or that one in HTTP/1.0 does not.

use std::io::Write;
use std::time::SystemTime;

use httpdate::HttpDate;
use tiny_http::StatusCode;

use crate::http::reply::Reply;
use crate::request_id::RequestId;

/// What the request and the state of its connection make of an answer.
#[derive(Debug, Clone)]
pub struct Form {
    /// What the request is called.
    pub id: RequestId,
    /// The value of `Connection`, if it needs one.
    pub connection: Option<&'static str>,
    /// The length of the body is told, and the body is not sent (RFC 9110, 9.3.2).
    pub without_body: bool,
}

impl Form {
    /// What is said on a connection that ends before there is a request.
    pub fn last() -> Self {
        Self { id: RequestId::made(), connection: Some("close"), without_body: false }
    }

    /// The head, and the body if there is to be one.
    pub fn write(&self, reply: &Reply) -> Vec<u8> {
        let body = reply.body();
        let mut bytes = self.begin(reply, 256 + body.len());
        // no content, no length (RFC 9110, 8.6)
        if reply.status() != 204 {
            // writing to memory cannot fail
            let _ = write!(bytes, "Content-Length: {}\r\n", body.len());
        }
        bytes.extend_from_slice(b"\r\n");
        if !self.without_body {
            bytes.extend_from_slice(&body);
        }
        bytes
    }

    /// The head of an answer of any length, in chunks (RFC 9112, 7.1) or up to the end of the connection.
    pub fn write_head(&self, reply: &Reply, in_chunks: bool) -> Vec<u8> {
        let mut bytes = self.begin(reply, 256);
        let end: &[u8] = if in_chunks { b"Transfer-Encoding: chunked\r\n\r\n" } else { b"\r\n" };
        bytes.extend_from_slice(end);
        bytes
    }

    /// The head but for what tells the length.
    fn begin(&self, reply: &Reply, capacity: usize) -> Vec<u8> {
        let status = StatusCode(reply.status());
        let mut bytes = Vec::with_capacity(capacity);
        let date = HttpDate::from(SystemTime::now());
        // writing to memory cannot fail
        let (reason, id) = (status.default_reason_phrase(), &self.id);
        let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nX-Request-ID: {id}\r\n", status.0);
        for (name, value) in reply.headers().chain(self.connection.map(|value| ("Connection", value))) {
            let _ = write!(bytes, "{name}: {value}\r\n");
        }
        bytes
    }
}
