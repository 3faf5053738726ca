//! What a request must be before an endpoint looks into it.

use std::io::Read;

use tiny_http::{Method, Request};

use super::reply::Reply;
use crate::printable::Printable;

/// How much of a client's words an error text repeats, in bytes.
pub const SHOWN: usize = 80;

/// The only method of an endpoint, which takes no parameters (RFC 9110, 15.5.6).
pub fn require_post(request: &Request, query: Option<&str>) -> Result<(), Reply> {
    if *request.method() != Method::Post {
        return Err(Reply::method_not_allowed("POST"));
    }
    match query {
        None | Some("") => Ok(()),
        Some(query) => {
            Err(Reply::invalid(format!("this path takes no parameters, not `?{}`", Printable::new(query, SHOWN))))
        }
    }
}

/// The body is JSON by its content type, has none, or has the one that curl sends with `-d`: the tutorial's
/// view takes anything.
pub fn require_json(request: &Request) -> Result<(), Reply> {
    if let Some(coding) = header(request, "Content-Encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(Reply::unsupported_media_type(format!(
            "`Content-Encoding: {}` is not supported",
            Printable::new(coding, SHOWN)
        )));
    }
    let Some(content_type) = header(request, "Content-Type") else {
        return Ok(());
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "application/json" | "application/x-www-form-urlencoded" => Ok(()),
        _ if essence.starts_with("application/") && essence.ends_with("+json") => Ok(()),
        _ => Err(Reply::unsupported_media_type(format!(
            "`Content-Type` must be `application/json`, not `{}`",
            Printable::new(content_type, SHOWN)
        ))),
    }
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
    let mut body = Vec::with_capacity(announced.unwrap_or(0));
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

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
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
        for content_type in ["text/plain", "multipart/form-data; boundary=x", "application/xml", "json", "image/x+json"]
        {
            let refusal = require_json(&with("Content-Type", content_type)).unwrap_err();
            assert_eq!(refusal.status(), 415, "{content_type}");
        }
        assert_eq!(require_json(&with("Content-Encoding", "gzip")).unwrap_err().status(), 415);
    }

    #[test]
    fn a_body_is_read_whole_up_to_the_limit() {
        let request = |body: &'static str| -> Request { TestRequest::new().with_body(body).into() };
        assert_eq!(body(&mut request("12345"), 5).unwrap(), b"12345");
        assert_eq!(body(&mut request(""), 5).unwrap(), b"");
        assert_eq!(body(&mut request("123456"), 5).unwrap_err().status(), 413);
    }
}
