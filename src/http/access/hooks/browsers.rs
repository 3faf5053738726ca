//! Recognizes requests of browsers, which any web page can cause, and those that a browser sends in advance.

use crate::http::server::Head;

/// The headers that mark a request in advance, or for a preview.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Whether a browser sent the request. `Origin` and `Sec-Fetch-Site` are not enough: a browser fetches
/// the image of a page without the first, and over plain HTTP without the second.
pub fn is_browser(head: Head) -> bool {
    let has = |name: &str| head.fields().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let is_fetch = |name: &str| name.to_ascii_lowercase().starts_with("sec-fetch-");
    let names_itself =
        head.fields().any(|(name, value)| name.eq_ignore_ascii_case("User-Agent") && value.contains("Mozilla/"));
    has("Origin")
        || has("Referer")
        || head.fields().any(|(name, _)| is_fetch(name))
        || (names_itself && has("Accept-Language"))
}

/// Whether the request is a prefetch or a link preview.
pub fn is_prefetch(head: Head) -> bool {
    let is_early = |value: &str| ["prefetch", "prerender", "preview"].iter().any(|purpose| value.contains(purpose));
    head.fields().any(|(name, value)| {
        PURPOSES.contains(&name.to_ascii_lowercase().as_str()) && is_early(&value.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    #[test]
    fn a_browser_is_recognized_by_its_headers() {
        let agent = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0");
        for headers in [
            &[("Origin", "null")][..],
            &[("Referer", "http://page.example/")],
            &[("Sec-Fetch-Site", "none")],
            &[("sec-fetch-mode", "no-cors")],
            &[agent, ("Accept-Language", "en")],
        ] {
            assert!(is_browser(TestHead::post(headers).head()), "{headers:?}");
        }
        for headers in [
            &[("User-Agent", "Shelly/1.14.0")][..],
            &[agent],
            &[("User-Agent", "curl/8.5.0"), ("Accept-Language", "en")],
            &[],
        ] {
            assert!(!is_browser(TestHead::post(headers).head()), "{headers:?}");
        }
    }

    #[test]
    fn prefetches_and_previews_are_recognized_by_their_purpose() {
        for header in [
            ("Purpose", "prefetch"),
            ("Sec-Purpose", "prefetch;prerender"),
            ("X-Purpose", "preview"),
            ("X-Moz", "Prefetch"),
        ] {
            assert!(is_prefetch(TestHead::post(&[header]).head()), "{header:?}");
        }
        for header in [("Purpose", "order"), ("X-Other", "prefetch")] {
            assert!(!is_prefetch(TestHead::post(&[header]).head()), "{header:?}");
        }
    }
}
