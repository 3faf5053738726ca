//! Which heads are refused before anything else is checked, and where the body of a request ends.
//!
//! tiny_http accepts heads of any size, takes the first of two lengths and any transfer coding for chunks, and leaves
//! control characters in header values.

use super::head::Head;
use crate::http::reply::{Reply, SHOWN};
use crate::printable::Printable;

/// The longest head: request line and headers with their line ends, in bytes.
pub const MAX_HEAD: u64 = 16 * 1024;
/// The most headers.
pub const MAX_HEADERS: usize = 100;
/// The longest target, in bytes (RFC 9112, 3, asks for 8000 at least).
pub const MAX_TARGET: usize = 8000;
/// The longest body that tiny_http reads together with the head, in bytes. It reads others when we ask for them.
pub const SMALL_BODY: u64 = 1024;

/// Refuses a head that is too large, or that two parsers could understand in two ways (RFC 9112, 6.3 and 11).
pub fn require_sound_framing(head: Head, max_body: usize) -> Result<(), Reply> {
    if !matches!(head.version(), (1, 0 | 1)) {
        return Err(Reply::version_not_supported());
    }
    if head.target().len() > MAX_TARGET {
        return Err(Reply::target_too_long(MAX_TARGET));
    }
    if head_size(head) > MAX_HEAD || head.fields().count() > MAX_HEADERS {
        return Err(head_too_large());
    }
    require_plain_head(head)?;
    require_one_length(head, max_body)
}

/// Bytes of the head on the wire, without white space that tiny_http drops.
fn head_size(head: Head) -> u64 {
    let length = |(name, value): (&str, &str)| name.len() + value.len() + ": \r\n".len();
    let line = head.method().len() + head.target().len() + "  HTTP/1.1\r\n".len();
    (line + head.fields().map(length).sum::<usize>() + "\r\n".len()) as u64
}

/// Bytes of the head and the body on the wire, without a body that is still to be read.
pub fn size_with_body(head: Head) -> u64 {
    let body = if has_whole_body(head) { head.body_length().unwrap_or_default() } else { 0 };
    head_size(head) + body as u64
}

fn require_plain_head(head: Head) -> Result<(), Reply> {
    if !is_token(head.method()) {
        return Err(Reply::invalid("the method must be a token (RFC 9110, 5.6.2)".to_owned()));
    }
    if head.target().is_empty() || !head.target().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Reply::invalid("the request target must be printable ASCII without spaces".to_owned()));
    }
    for (name, value) in head.fields() {
        if !is_token(name) {
            let shown = Printable::new(name, SHOWN);
            return Err(Reply::invalid(format!("a header's name must be a token, not `{shown}`")));
        }
        if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(Reply::invalid(format!("the value of `{name}` must not contain control characters")));
        }
    }
    Ok(())
}

/// Requires one length, or chunks (RFC 9112, 6.3).
fn require_one_length(head: Head, max_body: usize) -> Result<(), Reply> {
    let codings = head.header("Transfer-Encoding")?;
    let length = head.header("Content-Length")?;
    match (codings, length) {
        (None, None) if lacks_length(head) => Err(Reply::old_body_without_length()),
        (Some(_), Some(_)) => {
            Err(Reply::invalid("`Content-Length` and `Transfer-Encoding` must not both be there".to_owned()))
        }
        (Some(coding), None) if !coding.eq_ignore_ascii_case("chunked") || head.version() != (1, 1) => {
            Err(Reply::length_required())
        }
        (None, Some(length)) if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let shown = Printable::new(length, SHOWN);
            Err(Reply::invalid(format!("`Content-Length` must be a number, not `{shown}`")))
        }
        // a number that tiny_http cannot represent
        (None, Some(_)) if head.body_length().is_none() => Err(Reply::body_too_large(max_body)),
        _ => Ok(()),
    }
}

/// Whether a text is a token (RFC 9110, 5.6.2).
pub fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether a request may have a body of unknown length.
fn lacks_length(head: Head) -> bool {
    let may_have_body = matches!(head.method(), "POST" | "PUT" | "PATCH");
    let is_old = head.version() < (1, 1);
    is_old && may_have_body && !head.has("Content-Length") && !head.has("Transfer-Encoding")
}

/// Whether tiny_http has read all of the body together with the head, or there is no body.
pub fn has_whole_body(head: Head) -> bool {
    match head.body_length() {
        Some(0) => true,
        Some(length) => length as u64 <= SMALL_BODY && !head.has("Expect") && !is_upgrade(head),
        None => !head.has("Transfer-Encoding") && !lacks_length(head),
    }
}

/// Whether tiny_http treats the rest of the connection as the body.
pub fn is_upgrade(head: Head) -> bool {
    let first = head.first("Connection");
    first.is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// Whether tiny_http reads no further request from the connection: it searches the first `Connection` for substrings.
pub fn is_last_for_tiny_http(head: Head) -> bool {
    let is_old = head.version() < (1, 1);
    let first = head.first("Connection");
    let Some(first) = first.map(str::to_ascii_lowercase) else { return is_old };
    first.contains("close") || first.contains("upgrade") || (is_old && !first.contains("keep-alive"))
}

/// Whether a `Connection` header names this option (RFC 9110, 7.6.1).
pub fn has_connection_option(head: Head, option: &str) -> bool {
    let mut options = head.all("Connection").flat_map(|value| value.split(','));
    options.any(|found| found.trim().eq_ignore_ascii_case(option))
}

/// The reply 431 with the limits of a head.
pub fn head_too_large() -> Reply {
    Reply::head_too_large(MAX_HEAD, MAX_HEADERS)
}

#[cfg(test)]
mod tests {
    use super::super::head::testing::TestHead;
    use super::*;

    fn status(head: &TestHead) -> u16 {
        require_sound_framing(head.head(), 1000).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn a_body_must_have_exactly_one_valid_length() {
        for (fields, expected) in [
            (&[("Content-Length", "5")][..], 200),
            (&[("Content-Length", "5"), ("Content-Length", "5")], 400),
            (&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")], 400),
            (&[("Content-Length", "-1")], 400),
            (&[("Content-Length", "+5")], 400),
            (&[("Content-Length", "2, 2")], 400),
            (&[("Content-Length", "")], 400),
            (&[("Content-Length", "99999999999999999999")], 413),
        ] {
            assert_eq!(status(&TestHead::with_length(5, fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn control_characters_and_invalid_names_are_refused() {
        for (name, value, expected) in [
            ("X-A", "a\tb", 200),
            ("X-A", "a\nb", 400),
            ("X-A", "a\rb", 400),
            ("X-A", "a\0b", 400),
            ("X-A", "\x1b[31m", 400),
            ("X(A)", "a", 400),
            ("", "a", 400),
        ] {
            assert_eq!(status(&TestHead::post(&[(name, value)])), expected, "{name}: {value:?}");
        }
        for target in ["", "/a\x1bb", "/a\0", "/a b"] {
            assert_eq!(status(&TestHead::get(target)), 400, "{target:?}");
        }
        assert_eq!(status(&TestHead::new("P()ST{}", "/", (1, 1), &[])), 400);
    }

    #[test]
    fn heads_beyond_the_limits_are_refused() {
        let path = |length: usize| TestHead::get(&format!("/{}", "a".repeat(length - 1)));
        assert_eq!((status(&path(MAX_TARGET)), status(&path(MAX_TARGET + 1))), (200, 414));
        let fields = |count: usize, length: usize| {
            let value = "a".repeat(length);
            TestHead::new("GET", "/", (1, 1), &vec![("A", value.as_str()); count])
        };
        // tiny_http's test request has a Content-Length
        assert_eq!((status(&fields(MAX_HEADERS - 1, 1)), status(&fields(MAX_HEADERS, 1))), (200, 431));
        let line = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".len() + "A: \r\n".len();
        let longest = usize::try_from(MAX_HEAD).unwrap() - line;
        assert_eq!((status(&fields(1, longest)), status(&fields(1, longest + 1))), (200, 431));
    }

    #[test]
    fn versions_other_than_1_0_and_1_1_are_refused() {
        for (version, expected) in [((0, 9), 505), ((1, 0), 200), ((1, 1), 200), ((2, 0), 505)] {
            assert_eq!(status(&TestHead::new("GET", "/", version, &[])), expected, "{version:?}");
        }
    }
}
