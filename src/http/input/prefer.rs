//! `Prefer` (RFC 7240): what a client would like to have.

use crate::http::server::Head;

/// Whether the client prefers an answer before the work is done (RFC 7240, 4.1). Parameters are ignored, and so are
/// preferences that cannot be understood (RFC 7240, 2).
pub fn prefers_async(head: Head) -> bool {
    let fields = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case("Prefer"));
    fields.flat_map(|(_, value)| split(value, ',')).any(|preference| {
        let token = split(preference, ';').next().unwrap_or_default();
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        name.trim().eq_ignore_ascii_case("respond-async") && matches!(value.trim(), "" | "\"\"")
    })
}

/// The parts between separators that are in no quoted string (RFC 9110, 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    fn prefers(values: &[&str]) -> bool {
        let fields: Vec<_> = values.iter().map(|value| ("prefer", *value)).collect();
        prefers_async(TestHead::post(&fields).head())
    }

    #[test]
    fn the_preference_is_found_in_lists_and_in_several_fields_however_it_is_written() {
        for values in [
            &["respond-async"][..],
            &["Respond-Async"],
            &["wait=10, respond-async"],
            &["respond-async,wait=10"],
            &["respond-async; a=\"b,c\"; d"],
            &["respond-async=\"\""],
            &[" respond-async = "],
            &["x=\"a,\\\"b\", respond-async"],
            &["return=minimal", "respond-async"],
        ] {
            assert!(prefers(values), "{values:?}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_the_preference() {
        for values in [
            &[][..],
            &[""],
            &["respond-asynchronously"],
            &["return=respond-async"],
            &["wait=1; respond-async"],
            &["x=\"respond-async\""],
            &["x=\"a, respond-async\""],
            &["x=\"a\\\", respond-async"],
            &["respond-async=no"],
        ] {
            assert!(!prefers(values), "{values:?}");
        }
    }
}
