//! Checks of a request's head: its method, and the type and the coding of its body.

use crate::http::reply::{Reply, shown};
use crate::http::server::Head;

/// The methods of an endpoint that changes nothing.
pub const READ: &str = "GET, HEAD";

/// The method must be one of these, which are separated as in `Allow` (RFC 9110, 15.5.6).
pub fn require_method(head: Head, allowed: &'static str) -> Result<(), Reply> {
    let is_allowed = allowed.split(", ").any(|method| method == head.method());
    is_allowed.then_some(()).ok_or_else(|| Reply::method_not_allowed(allowed))
}

/// The content type must be JSON, missing, or the one that `curl -d` sends: the tutorial's view takes any.
pub fn require_json(head: Head) -> Result<(), Reply> {
    require_no_coding(head)?;
    let Some(content_type) = head.header("Content-Type")? else { return Ok(()) };
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
    let found = shown(content_type);
    Err(Reply::unsupported_media_type(format!("`Content-Type` must be `application/json` in UTF-8, not `{found}`")))
}

/// The body must not be compressed.
pub fn require_no_coding(head: Head) -> Result<(), Reply> {
    let coding = head.header("Content-Encoding")?.filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let Some(coding) = coding else { return Ok(()) };
    Err(Reply::unsupported_media_type(format!("`Content-Encoding: {}` is not supported", shown(coding))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    fn status(fields: &[(&str, &str)]) -> u16 {
        require_json(TestHead::post(fields).head()).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn json_and_the_default_of_curl_are_accepted() {
        for content_type in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON ;x=y",
            "application/cloudevents+json",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert_eq!(status(&[("Content-Type", content_type)]), 200, "{content_type}");
        }
        assert_eq!(status(&[]), 200, "none at all");
        assert_eq!(status(&[("Content-Encoding", "identity")]), 200);
    }

    #[test]
    fn other_content_types_and_content_codings_are_refused_with_415() {
        for content_type in [
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/xml",
            "json",
            "image/x+json",
        ] {
            assert_eq!(status(&[("Content-Type", content_type)]), 415, "{content_type}");
        }
        assert_eq!(status(&[("Content-Encoding", "gzip")]), 415);
    }

    #[test]
    fn a_header_with_two_values_is_refused() {
        assert_eq!(status(&[("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]), 400);
    }
}
