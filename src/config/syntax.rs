//! What the TOML parser says of a text that it does not take, with what may help.

use std::ops::Range;

use crate::printable::Printable;
use crate::similar::hint;

/// How much of the parser's words a fault repeats, in bytes: all of them where no key is of unusual length.
const MAX_WORDS: usize = 500;
/// The same of a name in the text.
const SHOWN: usize = 80;

/// The parser's words in one line, which may repeat whatever the file has for a key.
pub fn words(message: &str, span: Option<Range<usize>>, text: &str) -> String {
    let line = message.lines().collect::<Vec<_>>().join(", ");
    let line = Printable::new(&line, MAX_WORDS);
    let help = match message {
        "duplicate key" => span.and_then(|span| text.get(span)).map(|name| format!(": {}", shown(name))),
        // the words name what there is not, and then what there is
        _ if message.starts_with("unknown field") => message.split('`').nth(1).map(|name| hint(name, message)),
        _ => span.and_then(|span| unquoted(text, span.start)),
    };
    format!("{line}{}", help.unwrap_or_default())
}

fn shown(name: &str) -> String {
    format!("`{}` is there before", Printable::new(name.trim(), SHOWN))
}

/// Where the value of a key is text without quotes: the key, and never the value, which may be a secret.
fn unquoted(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, value) = text[start..].lines().next()?.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_bare = !value.is_empty() && !value.contains(['"', '\'', '{']) && !value.ends_with(',');
    // an IPv6 address begins as a list does
    let is_list = value.starts_with('[') && !value.contains(':');
    let is_text = is_bare && !is_list && !key.is_empty() && key.chars().all(is_key);
    is_text.then(|| format!("; a value that is text needs quotes: {} = \"…\"", Printable::new(key, SHOWN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_text_needs_no_quotes() {
        for line in ["port = ", "a = [1, 2", "a = 'b", "a b = c", "= c", "[mqtt", "list = [", "a = { b = c }"] {
            assert_eq!(unquoted(line, 0), None, "{line}");
        }
        let found = unquoted("x = 1\nlisten = ::1 # here", 8).unwrap();
        assert_eq!(found, "; a value that is text needs quotes: listen = \"…\"");
        assert_eq!(unquoted("ä = b", 1), None);
    }
}
