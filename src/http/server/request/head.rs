//! The head of a request as tiny_http has parsed it: the request line and the header fields.

use std::net::SocketAddr;

use tiny_http::{Header, Request};

use crate::http::reply::Reply;

/// The head of a request.
#[derive(Clone, Copy)]
pub struct Head<'a>(&'a Request);

impl<'a> Head<'a> {
    pub(in crate::http::server) fn of(request: &'a Request) -> Self {
        Self(request)
    }

    /// The method, as it was sent.
    pub fn method(self) -> &'a str {
        self.0.method().as_str()
    }

    /// The request target, as it was sent.
    pub fn target(self) -> &'a str {
        self.0.url()
    }

    /// The major and the minor version of HTTP.
    pub fn version(self) -> (u8, u8) {
        let version = self.0.http_version();
        (version.0, version.1)
    }

    /// `Content-Length` in bytes, if tiny_http could parse it.
    pub fn body_length(self) -> Option<usize> {
        self.0.body_length()
    }

    /// The address of the client; `None` on a Unix socket.
    pub fn client(self) -> Option<&'a SocketAddr> {
        self.0.remote_addr()
    }

    /// The names and the values of all header fields, in the order in which they were sent.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.headers().iter().map(|header| (header.field.as_str().as_str(), header.value.as_str()))
    }

    /// The value of a header field that must not be repeated.
    ///
    /// # Errors
    /// 400 if it is.
    pub fn header(self, name: &'static str) -> Result<Option<&'a str>, Reply> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(Reply::invalid(format!("`{name}` must not be there twice"))),
        }
    }

    /// The value of a header field that the configuration names, and that must not be repeated.
    ///
    /// # Errors
    /// If it is repeated.
    pub fn field(self, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(format!("header `{name}` must not be there twice")),
        }
    }

    /// Whether there is a header field of this name.
    pub fn has(self, name: &'static str) -> bool {
        self.first(name).is_some()
    }

    /// The value of the first header field of this name.
    pub(in crate::http::server) fn first(self, name: &'static str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The values of all header fields of this name.
    pub(in crate::http::server) fn all(self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let is_it = move |header: &&Header| header.field.equiv(name);
        self.0.headers().iter().filter(is_it).map(|header| header.value.as_str())
    }
}

/// Heads for tests.
#[cfg(test)]
pub mod testing {
    use tiny_http::{HTTPVersion, Header, TestRequest};

    use super::*;

    /// A request that came on no connection.
    pub struct TestHead(Request);

    impl TestHead {
        /// A request with these header fields; `version` is the major and the minor version.
        pub fn new(method: &str, target: &str, version: (u8, u8), fields: &[(&str, &str)]) -> Self {
            let request = TestRequest::new()
                .with_method(method.parse().unwrap())
                .with_path(target)
                .with_http_version(HTTPVersion(version.0, version.1));
            Self(fields.iter().fold(request, with_field).into())
        }

        /// A request with a body of this many bytes, of which tiny_http knows the length.
        pub fn with_length(length: usize, fields: &[(&str, &str)]) -> Self {
            let body: &'static str = &"12345678"[..length];
            Self(fields.iter().fold(TestRequest::new().with_body(body), with_field).into())
        }

        /// `GET` of this target.
        pub fn get(target: &str) -> Self {
            Self::new("GET", target, (1, 1), &[])
        }

        /// `POST /publish` with these header fields.
        pub fn post(fields: &[(&str, &str)]) -> Self {
            Self::new("POST", "/publish", (1, 1), fields)
        }

        /// Its head.
        pub fn head(&self) -> Head<'_> {
            Head(&self.0)
        }
    }

    fn with_field(request: TestRequest, &(name, value): &(&str, &str)) -> TestRequest {
        request.with_header(Header::from_bytes(name, value).unwrap())
    }
}
