//! What a request must be before an endpoint looks into it.

use tiny_http::{HTTPVersion, Header, Method, Request};

use crate::http::reply::{Reply, SHOWN};
use crate::printable::Printable;

/// The methods of what can only be read.
pub const READ: &str = "GET, HEAD";
/// The longest head: request line and headers with their line ends, in bytes.
pub const MAX_HEAD: u64 = 16 * 1024;
/// The most headers.
pub const MAX_HEADERS: usize = 100;
/// The longest target, in bytes (RFC 9112, 3, asks for 8000 at least).
pub const MAX_TARGET: usize = 8000;
/// The longest body that the library reads together with the head, in bytes.
pub const SMALL_BODY: u64 = 1024;

/// Refuses what is too large, and whatever could be understood in two ways: the library takes the first of two
/// lengths, any transfer coding for chunks, and bare control characters for text (RFC 9112, 6.3 and 11).
pub fn require_sound_framing(request: &Request, max_body: usize) -> Result<(), Reply> {
    let version = request.http_version();
    if *version != HTTPVersion(1, 1) && *version != HTTPVersion(1, 0) {
        return Err(Reply::version_not_supported());
    }
    require_small_head(request)?;
    require_plain_head(request)?;
    require_one_length(request, max_body)
}

fn require_small_head(request: &Request) -> Result<(), Reply> {
    if request.url().len() > MAX_TARGET {
        Err(Reply::target_too_long())
    } else if head_size(request) > MAX_HEAD || request.headers().len() > MAX_HEADERS {
        Err(Reply::head_too_large())
    } else {
        Ok(())
    }
}

/// Bytes of the head on the wire, less white space that the library drops.
pub fn head_size(request: &Request) -> u64 {
    let length = |header: &Header| header.field.as_str().as_str().len() + header.value.as_str().len() + ": \r\n".len();
    let line = request.method().as_str().len() + request.url().len() + "  HTTP/1.1\r\n".len();
    (line + request.headers().iter().map(length).sum::<usize>() + "\r\n".len()) as u64
}

fn require_plain_head(request: &Request) -> Result<(), Reply> {
    if !is_token(request.method().as_str()) {
        return Err(Reply::invalid("the method must be a token (RFC 9110, 5.6.2)".to_owned()));
    }
    if request.url().is_empty() || !request.url().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Reply::invalid("the request target must be printable ASCII without spaces".to_owned()));
    }
    for header in request.headers() {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        if !is_token(name) {
            return Err(Reply::invalid(format!(
                "a header's name must be a token, not `{}`",
                Printable::new(name, SHOWN)
            )));
        }
        if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(Reply::invalid(format!("the value of `{name}` must not contain control characters")));
        }
    }
    Ok(())
}

/// RFC 9112, 6.3: one length, or chunks.
fn require_one_length(request: &Request, max_body: usize) -> Result<(), Reply> {
    let codings = header(request, "Transfer-Encoding")?;
    let length = header(request, "Content-Length")?;
    match (codings, length) {
        (None, None) if lacks_length(request) => Err(Reply::old_body_without_length()),
        (None, None) => Ok(()),
        (Some(_), Some(_)) => {
            Err(Reply::invalid("`Content-Length` and `Transfer-Encoding` must not both be there".to_owned()))
        }
        (Some(coding), None) => {
            let is_known = coding.eq_ignore_ascii_case("chunked") && *request.http_version() == HTTPVersion(1, 1);
            if is_known { Ok(()) } else { Err(Reply::length_required()) }
        }
        (None, Some(length)) => {
            let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            if is_number && request.body_length().is_some() {
                return Ok(());
            }
            // larger than any number that the library knows, or none
            if is_number {
                Err(Reply::body_too_large(max_body))
            } else {
                Err(Reply::invalid(format!(
                    "`Content-Length` must be a number, not `{}`",
                    Printable::new(length, SHOWN)
                )))
            }
        }
    }
}

/// RFC 9110, 5.6.2.
pub fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether a request may have a body of which nothing tells where it ends.
fn lacks_length(request: &Request) -> bool {
    let has = |name: &'static str| request.headers().iter().any(|header| header.field.equiv(name));
    let may_have_body = matches!(request.method(), Method::Post | Method::Put | Method::Patch);
    let is_old = *request.http_version() < HTTPVersion(1, 1);
    is_old && may_have_body && !has("Content-Length") && !has("Transfer-Encoding")
}

/// Whether all of the body came with the request, or there is none: the library reads a small one by itself.
pub fn has_whole_body(request: &Request) -> bool {
    let has = |name: &'static str| request.headers().iter().any(|header| header.field.equiv(name));
    match request.body_length() {
        Some(0) => true,
        Some(length) => length as u64 <= SMALL_BODY && !has("Expect") && !is_upgrade(request),
        None => !has("Transfer-Encoding") && !lacks_length(request),
    }
}

/// Whether the library takes the rest of the connection for the body.
pub fn is_upgrade(request: &Request) -> bool {
    let first = request.headers().iter().find(|header| header.field.equiv("Connection"));
    first.is_some_and(|header| header.value.as_str().to_ascii_lowercase().contains("upgrade"))
}

/// Whether the library takes no further request from the connection: it looks for words anywhere in the first
/// `Connection`.
pub fn is_last_for_library(request: &Request) -> bool {
    let is_old = *request.http_version() < HTTPVersion(1, 1);
    let first = request.headers().iter().find(|header| header.field.equiv("Connection"));
    let Some(first) = first.map(|header| header.value.as_str().to_ascii_lowercase()) else { return is_old };
    first.contains("close") || first.contains("upgrade") || (is_old && !first.contains("keep-alive"))
}

/// Whether a `Connection` header names this option (RFC 9110, 7.6.1).
pub fn has_connection_option(request: &Request, option: &str) -> bool {
    let fields = request.headers().iter().filter(|header| header.field.equiv("Connection"));
    let mut options = fields.flat_map(|header| header.value.as_str().split(','));
    options.any(|found| found.trim().eq_ignore_ascii_case(option))
}

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
        let absolute = Absolute::parse(target).filter(|absolute| absolute.scheme.eq_ignore_ascii_case("http"));
        let (start, rest) = match absolute {
            // an empty path is that of the root (RFC 9110, 4.2.3)
            Some(Absolute { rest, .. }) if !rest.starts_with('/') => ("/", rest),
            Some(Absolute { rest, .. }) => ("", rest),
            None => ("", target),
        };
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));
        Self { path: format!("{start}{path}"), query }
    }

    /// The path by which its endpoint is found. Those who watch us may add a slash; no other path has two forms, since a
    /// proxy may close one by its exact name.
    pub fn endpoint(&self) -> &str {
        match self.path.as_str() {
            "/healthz/" => "/healthz",
            "/readyz/" => "/readyz",
            path => path,
        }
    }

    /// Refuses parameters: they would be ignored in silence.
    pub fn require_no_parameters(&self) -> Result<(), Reply> {
        match self.query.as_deref() {
            None | Some("") => Ok(()),
            Some(query) => {
                Err(Reply::invalid(format!("this path takes no parameters, not `?{}`", Printable::new(query, SHOWN))))
            }
        }
    }
}

/// A target in absolute form, as `scheme://authority` and the rest: where it goes and by what name it calls us must be
/// read from the same parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Absolute<'a> {
    scheme: &'a str,
    pub authority: &'a str,
    /// Path, query and fragment, each of which may be missing.
    rest: &'a str,
}

impl<'a> Absolute<'a> {
    /// `None` in any other form.
    pub fn parse(target: &'a str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        Some(Self { scheme, authority, rest })
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_allowed)
}

/// One of the methods of an endpoint, as `Allow` lists them (RFC 9110, 15.5.6).
pub fn require_method(request: &Request, allowed: &'static str) -> Result<(), Reply> {
    if allowed.split(", ").any(|method| method == request.method().as_str()) {
        Ok(())
    } else {
        Err(Reply::method_not_allowed(allowed))
    }
}

/// The body is JSON by its content type, has none, or has the one that curl sends with `-d`: the tutorial's
/// view takes anything.
pub fn require_json(request: &Request) -> Result<(), Reply> {
    require_no_coding(request)?;
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

/// The body is there as it is, and not compressed.
pub fn require_no_coding(request: &Request) -> Result<(), Reply> {
    let coding = header(request, "Content-Encoding")?.filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let Some(coding) = coding else { return Ok(()) };
    let coding = Printable::new(coding, SHOWN);
    Err(Reply::unsupported_media_type(format!("`Content-Encoding: {coding}` is not supported")))
}

/// The value of a header that may be there once.
pub fn header<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, Reply> {
    let mut values = request.headers().iter().filter(|header| header.field.equiv(name));
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(|header| header.value.as_str())),
        (_, Some(_)) => Err(Reply::invalid(format!("`{name}` must not be there twice"))),
    }
}

#[cfg(test)]
mod tests {
    use tiny_http::TestRequest;

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
            ("http://host?x=/publish", "/", Some("x=/publish")),
            ("http://host?", "/", Some("")),
            ("http://host#/publish", "/#/publish", None),
            ("http://host/a?b=http://c/publish", "/a", Some("b=http://c/publish")),
            ("/a?b=http://c/publish", "/a", Some("b=http://c/publish")),
            ("x?http://host/publish", "x", Some("http://host/publish")),
            ("https://host/publish", "https://host/publish", None),
            ("ftp://host/publish", "ftp://host/publish", None),
            ("*", "*", None),
        ] {
            let request: Request = TestRequest::new().with_path(target).into();
            let expected = Target { path: path.to_owned(), query: query.map(str::to_owned) };
            assert_eq!(Target::of(&request), expected, "{target}");
        }
    }

    const MAX_BODY: usize = 1000;

    fn status(request: TestRequest) -> u16 {
        require_sound_framing(&request.into(), MAX_BODY).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn a_body_has_one_length_that_nobody_can_read_in_two_ways() {
        for (headers, expected) in [
            (&[("Content-Length", "5")][..], 200),
            (&[("Content-Length", "5"), ("Content-Length", "5")], 400),
            (&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")], 400),
            (&[("Content-Length", "-1")], 400),
            (&[("Content-Length", "+5")], 400),
            (&[("Content-Length", "2, 2")], 400),
            (&[("Content-Length", "")], 400),
            (&[("Content-Length", "99999999999999999999")], 413),
        ] {
            let with = |request: TestRequest, (name, value): &(&str, &str)| {
                request.with_header(Header::from_bytes(*name, *value).unwrap())
            };
            let request = headers.iter().fold(TestRequest::new().with_body("12345"), with);
            assert_eq!(status(request), expected, "{headers:?}");
        }
    }

    #[test]
    fn control_characters_and_bad_names_are_refused() {
        for (name, value, expected) in [
            ("X-A", "a\tb", 200),
            ("X-A", "a\nb", 400),
            ("X-A", "a\rb", 400),
            ("X-A", "a\0b", 400),
            ("X-A", "\x1b[31m", 400),
            ("X(A)", "a", 400),
            ("", "a", 400),
        ] {
            let header = Header::from_bytes(name, value).unwrap();
            assert_eq!(status(TestRequest::new().with_header(header)), expected, "{name}: {value:?}");
        }
        for path in ["", "/a\x1bb", "/a\0", "/a b"] {
            assert_eq!(status(TestRequest::new().with_path(path)), 400, "{path:?}");
        }
        let bad_method = Method::NonStandard("P()ST{}".parse().unwrap());
        assert_eq!(status(TestRequest::new().with_method(bad_method)), 400);
    }

    #[test]
    fn heads_have_their_limits() {
        let path = |length: usize| TestRequest::new().with_path(&format!("/{}", "a".repeat(length - 1)));
        assert_eq!((status(path(MAX_TARGET)), status(path(MAX_TARGET + 1))), (200, 414));
        let headers = |count: usize, length: usize| {
            let header = Header::from_bytes("A", "a".repeat(length)).unwrap();
            (0..count).fold(TestRequest::new(), |request, _| request.with_header(header.clone()))
        };
        assert_eq!((status(headers(MAX_HEADERS - 1, 1)), status(headers(MAX_HEADERS, 1))), (200, 431));
        // the library's test request tells its length
        let line = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".len() + "A: \r\n".len();
        let longest = usize::try_from(MAX_HEAD).unwrap() - line;
        assert_eq!((status(headers(1, longest)), status(headers(1, longest + 1))), (200, 431));
    }

    #[test]
    fn versions_other_than_1_0_and_1_1_are_refused() {
        for (version, expected) in [((0, 9), 505), ((1, 0), 200), ((1, 1), 200), ((2, 0), 505)] {
            let request = TestRequest::new().with_http_version(HTTPVersion(version.0, version.1));
            assert_eq!(status(request), expected, "{version:?}");
        }
    }
}
