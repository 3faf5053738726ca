//! What a request must be before an endpoint looks into it.

use std::io::Read;

use tiny_http::{Method, Request};

use super::reply::{Reply, SHOWN};
use crate::printable::Printable;

/// How much memory a body gets before its first byte has come.
const FIRST_PIECE: usize = 16 * 1024;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was sent: nothing is decoded, and nothing is made canonical.
    pub path: String,
    /// What follows the question mark, if there is one.
    pub query: Option<String>,
}

impl Target {
    /// The target in origin form or in absolute form, which a server must take too (RFC 9112, 3.2.2).
    pub fn of(request: &Request) -> Self {
        let target = request.url();
        let origin = target.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
        let target = origin.map_or(target, |(_, rest)| rest.find('/').map_or("/", |path| &rest[path..]));
        match target.split_once('?') {
            None => Self { path: target.to_owned(), query: None },
            Some((path, query)) => Self { path: path.to_owned(), query: Some(query.to_owned()) },
        }
    }
}

/// The only method of an endpoint, which takes no parameters (RFC 9110, 15.5.6).
pub fn require_post(request: &Request, target: &Target) -> Result<(), Reply> {
    if *request.method() != Method::Post {
        return Err(Reply::method_not_allowed("POST"));
    }
    match target.query.as_deref() {
        None | Some("") => Ok(()),
        Some(query) => {
            Err(Reply::invalid(format!("this path takes no parameters, not `?{}`", Printable::new(query, SHOWN))))
        }
    }
}

/// The body is JSON by its content type, has none, or has the one that curl sends with `-d`: the tutorial's
/// view takes anything.
pub fn require_json(request: &Request) -> Result<(), Reply> {
    if let Some(coding) = header(request, "Content-Encoding")?.filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        let coding = Printable::new(coding, SHOWN);
        return Err(Reply::unsupported_media_type(format!("`Content-Encoding: {coding}` is not supported")));
    }
    let Some(content_type) = header(request, "Content-Type")? else {
        return Ok(());
    };
    let lower_case = content_type.to_ascii_lowercase();
    let mut parts = lower_case.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_json = matches!(essence, "" | "application/json" | "application/x-www-form-urlencoded")
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    // JSON is UTF-8 (RFC 8259, 8.1)
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    let is_utf_8 = charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    if is_json && is_utf_8 {
        return Ok(());
    }
    let found = Printable::new(content_type, SHOWN);
    Err(Reply::unsupported_media_type(format!("`Content-Type` must be `application/json` in UTF-8, not `{found}`")))
}

/// The whole body, at most `max` bytes. One that says that it is longer is refused without being read.
pub fn body(request: &mut Request, max: usize) -> Result<Vec<u8>, Reply> {
    let announced = request.body_length();
    if announced.is_some_and(|length| length > max) {
        return Err(Reply::body_too_large(max));
    }
    // one byte more than is allowed tells a body that is too long; never up to the end of the connection,
    // which is all that tiny_http gives for some requests
    let limit = announced.unwrap_or(max + 1);
    // what is only announced takes no memory
    let mut body = Vec::with_capacity(limit.min(FIRST_PIECE));
    let read = request.as_reader().take(limit as u64).read_to_end(&mut body);
    match (read, announced) {
        (Err(error), _) => Err(Reply::invalid(format!("the body could not be read: {error}"))),
        (Ok(read), Some(length)) if read < length => {
            Err(Reply::invalid(format!("the body ended after {read} of {length} bytes")))
        }
        (Ok(read), None) if read > max => Err(Reply::body_too_large(max)),
        (Ok(_), _) => Ok(body),
    }
}

/// The value of a header that may be there once.
fn header<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, Reply> {
    let mut values = request.headers().iter().filter(|header| header.field.equiv(name));
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(|header| header.value.as_str())),
        (_, Some(_)) => Err(Reply::invalid(format!("`{name}` must not be there twice"))),
    }
}

#[cfg(test)]
mod tests {
    use tiny_http::{Header, TestRequest};

    use super::*;

    fn with(name: &str, value: &str) -> Request {
        let header = Header::from_bytes(name, value).unwrap();
        TestRequest::new().with_method(Method::Post).with_header(header).into()
    }

    #[test]
    fn json_and_what_curl_sends_by_default_are_taken_as_json() {
        for content_type in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON ;x=y",
            "application/cloudevents+json",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(require_json(&with("Content-Type", content_type)).is_ok(), "{content_type}");
        }
        assert!(require_json(&TestRequest::new().into()).is_ok(), "none at all");
        assert!(require_json(&with("Content-Encoding", "identity")).is_ok());
    }

    #[test]
    fn other_content_types_and_codings_are_refused_with_415() {
        for content_type in [
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/xml",
            "json",
            "image/x+json",
        ] {
            let refusal = require_json(&with("Content-Type", content_type)).unwrap_err();
            assert_eq!(refusal.status(), 415, "{content_type}");
        }
        assert_eq!(require_json(&with("Content-Encoding", "gzip")).unwrap_err().status(), 415);
    }

    #[test]
    fn a_header_that_says_two_things_is_refused() {
        let twice = |value| Header::from_bytes("Content-Encoding", value).unwrap();
        let request: Request = TestRequest::new().with_header(twice("identity")).with_header(twice("gzip")).into();
        assert_eq!(require_json(&request).unwrap_err().status(), 400);
    }

    #[test]
    fn a_target_has_a_path_and_perhaps_a_query() {
        for (target, path, query) in [
            ("/publish", "/publish", None),
            ("/publish?", "/publish", Some("")),
            ("/a?b?c", "/a", Some("b?c")),
            ("http://host:1/publish?x", "/publish", Some("x")),
            ("HTTP://host", "/", None),
            ("ftp://host/publish", "ftp://host/publish", None),
            ("*", "*", None),
        ] {
            let request: Request = TestRequest::new().with_path(target).into();
            let expected = Target { path: path.to_owned(), query: query.map(str::to_owned) };
            assert_eq!(Target::of(&request), expected, "{target}");
        }
    }

    #[test]
    fn a_body_is_read_whole_up_to_the_limit() {
        let request = |body: &'static str| -> Request { TestRequest::new().with_body(body).into() };
        assert_eq!(body(&mut request("12345"), 5).unwrap(), b"12345");
        assert_eq!(body(&mut request(""), 5).unwrap(), b"");
        assert_eq!(body(&mut request("123456"), 5).unwrap_err().status(), 413);
    }
}
