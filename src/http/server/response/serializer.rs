//! A reply as the bytes that the client gets (RFC 9112, 4 to 6).
//!
//! tiny_http could serialize it too, but ignores `Connection`: it cannot announce that it closes a connection, nor that
//! it keeps one of HTTP/1.0.

use std::io::Write;
use std::time::SystemTime;

use httpdate::HttpDate;
use tiny_http::StatusCode;

use crate::http::reply::Reply;
use crate::http::server::request::Head;
use crate::request_id::RequestId;

/// What a reply takes from its request and from the state of the connection.
#[derive(Debug, Clone)]
pub struct Serializer {
    id: RequestId,
    /// The value of `Connection`, if it needs one.
    connection: Option<&'static str>,
    /// `Content-Length` is written, and the body is not (RFC 9110, 9.3.2).
    without_body: bool,
}

impl Serializer {
    /// For the reply to a request, after which the connection is closed if `closes`.
    pub fn new(head: Head, id: RequestId, closes: bool) -> Self {
        let connection = match (closes, head.version() < (1, 1)) {
            (true, _) => Some("close"),
            (false, true) => Some("keep-alive"),
            (false, false) => None,
        };
        Self { id, connection, without_body: head.method() == "HEAD" }
    }

    /// For a reply on a connection that is closed before tiny_http has returned a request.
    pub fn without_request() -> Self {
        Self { id: RequestId::made(), connection: Some("close"), without_body: false }
    }

    /// The head, and the body if there is to be one.
    pub fn serialize(&self, reply: &Reply) -> Vec<u8> {
        let body = reply.body();
        // a 204 has no content and no length (RFC 9110, 8.6)
        let length = if reply.status() == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut bytes = self.head(reply, &length, body.len());
        if !self.without_body {
            bytes.extend_from_slice(&body);
        }
        bytes
    }

    /// The head of a stream, which is sent in chunks (RFC 9112, 7.1) or ends with the connection.
    pub fn serialize_head(&self, reply: &Reply, in_chunks: bool) -> Vec<u8> {
        self.head(reply, if in_chunks { "Transfer-Encoding: chunked\r\n" } else { "" }, 0)
    }

    /// The head with this header field for the length, and room for a body.
    fn head(&self, reply: &Reply, length: &str, room: usize) -> Vec<u8> {
        let status = StatusCode(reply.status());
        let mut bytes = Vec::with_capacity(256 + room);
        let date = HttpDate::from(SystemTime::now());
        // writing to memory cannot fail
        let (reason, id) = (status.default_reason_phrase(), &self.id);
        let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nX-Request-ID: {id}\r\n", status.0);
        for (name, value) in reply.headers().chain(self.connection.map(|value| ("Connection", value))) {
            let _ = write!(bytes, "{name}: {value}\r\n");
        }
        let _ = write!(bytes, "{length}\r\n");
        bytes
    }
}
