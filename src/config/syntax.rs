//! Errors of the TOML parser in one line, with a hint.

use std::ops::Range;

use crate::printable::Printable;
use crate::similar::hint;

/// How much of the parser's message a fault repeats, in bytes: all of it unless a key is unusually long.
const MAX_WORDS: usize = 500;
/// How much of a name in the file.
const SHOWN: usize = 80;

/// The parser's message in one line. It may repeat any text that the file has for a key.
pub fn words(message: &str, span: Option<Range<usize>>, text: &str) -> String {
    let line = message.lines().collect::<Vec<_>>().join(", ");
    let line = Printable::new(&line, MAX_WORDS);
    let help = match message {
        "duplicate key" => span.and_then(|span| text.get(span)).map(|name| format!(": {}", duplicate(name))),
        // the message names the unknown field first, and then the known ones
        _ if message.starts_with("unknown field") => message.split('`').nth(1).map(|name| hint(name, message)),
        _ => span.and_then(|span| unquoted(text, span.start)),
    };
    format!("{line}{}", help.unwrap_or_default())
}

fn duplicate(name: &str) -> String {
    format!("`{}` is there before", Printable::new(name.trim(), SHOWN))
}

/// A hint if the value of a key is text without quotes. It shows the key, but never the value, which may be a secret.
fn unquoted(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, value) = text[start..].lines().next()?.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_bare = !value.is_empty() && !value.contains(['"', '\'', '{']) && !value.ends_with(',');
    // an IPv6 address in brackets starts like a list
    let is_list = value.starts_with('[') && !value.contains(':');
    let is_text = is_bare && !is_list && !key.is_empty() && key.chars().all(is_key);
    is_text.then(|| format!("; a value that is text needs quotes: {} = \"…\"", Printable::new(key, SHOWN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_without_quotes_gives_a_hint() {
        for line in ["port = ", "a = [1, 2", "a = 'b", "a b = c", "= c", "[mqtt", "list = [", "a = { b = c }"] {
            assert_eq!(unquoted(line, 0), None, "{line}");
        }
        let found = unquoted("x = 1\nlisten = ::1 # here", 8).unwrap();
        assert_eq!(found, "; a value that is text needs quotes: listen = \"…\"");
        assert_eq!(unquoted("ä = b", 1), None);
    }
}
