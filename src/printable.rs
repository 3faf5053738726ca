//! Bytes from outside as one printable line: escaped, so that they can be read back, and cut at a limit.

use std::fmt;

/// Bytes from outside, for a record or an error text.
///
/// Printable UTF-8 stays as it is; backslashes are doubled; control characters, characters that change how a line
/// reads (bidirectional overrides, line separators, invisible ones) and bytes that are no UTF-8 become `\n`, `\r`,
/// `\t`, `\xNN` or `\u{N}`. What lies beyond the limit is replaced by `… (LIMIT of LENGTH bytes)`.
pub struct Printable<'a> {
    bytes: &'a [u8],
    limit: usize,
}

impl<'a> Printable<'a> {
    /// Takes any bytes, and how many of them are shown at most.
    pub fn new(bytes: &'a (impl AsRef<[u8]> + ?Sized), limit: usize) -> Self {
        Self { bytes: bytes.as_ref(), limit }
    }

    /// How many bytes are shown: never only a part of a character.
    fn shown(&self) -> usize {
        if self.bytes.len() <= self.limit {
            return self.bytes.len();
        }
        let is_boundary = |&at: &usize| self.bytes[at] & 0b1100_0000 != 0b1000_0000;
        // a character is at most four bytes long; without a boundary that near it is no UTF-8 anyway
        (self.limit.saturating_sub(3)..=self.limit).rev().find(is_boundary).unwrap_or(self.limit)
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown();
        for chunk in self.bytes[..shown].utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_char(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        if shown < self.bytes.len() {
            write!(f, "… ({shown} of {} bytes)", self.bytes.len())?;
        }
        Ok(())
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\x7f' if c.is_control() => write!(f, "\\x{:02x}", u32::from(c)),
        _ if changes_the_line(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
        _ => write!(f, "{c}"),
    }
}

/// Any text as one line, cut at 11,000 characters, for texts that are not escaped where they come in.
#[must_use]
pub fn one_line(text: &str) -> String {
    let escaped = |c: char| {
        let escape = c.is_control().then(|| c.escape_default());
        let plain = escape.is_none().then_some(c);
        escape.into_iter().flatten().chain(plain)
    };
    text.chars().flat_map(escaped).take(LONGEST_LINE).collect()
}

/// In characters: longer than any record of ours, shorter than the 48 KiB from which on journald splits a line.
const LONGEST_LINE: usize = 11_000;

/// C1 controls, and format characters that hide, reorder or break what a person sees.
fn changes_the_line(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Printable::new(bytes, 16).to_string()
    }

    #[test]
    fn printable_text_stays_as_it_is() {
        assert_eq!(shown("{\"a\": 'ö🦀'}".as_bytes()), "{\"a\": 'ö🦀'}");
    }

    #[test]
    fn what_could_forge_a_line_or_hide_text_is_escaped() {
        assert_eq!(shown(b"a\n<0>b\r\t\\"), "a\\n<0>b\\r\\t\\\\");
        assert_eq!(shown(b"\x1b[31m\0\x7f"), "\\x1b[31m\\x00\\x7f");
        assert_eq!(shown("\u{85}\u{2028}\u{202e}\u{200b}".as_bytes()), "\\u{85}\\u{2028}\\u{202e}\\u{200b}");
        assert_eq!(shown(b"\xff\xfe ok \xc3"), "\\xff\\xfe ok \\xc3");
    }

    #[test]
    fn long_bytes_are_cut_between_characters_and_their_length_is_shown() {
        assert_eq!(shown(b"0123456789abcdef"), "0123456789abcdef");
        assert_eq!(shown(b"0123456789abcdefg"), "0123456789abcdef… (16 of 17 bytes)");
        assert_eq!(shown("0123456789abcdeö".as_bytes()), "0123456789abcde… (15 of 17 bytes)");
        assert_eq!(shown(&[0x80; 17]), format!("{}… (16 of 17 bytes)", "\\x80".repeat(16)));
    }

    /// Undoes the escapes.
    fn original(line: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let (piece, length): (Vec<u8>, usize) = match (c, rest.as_bytes().get(1)) {
                ('\\', Some(b'\\')) => (b"\\".to_vec(), 2),
                ('\\', Some(b'n')) => (b"\n".to_vec(), 2),
                ('\\', Some(b'r')) => (b"\r".to_vec(), 2),
                ('\\', Some(b't')) => (b"\t".to_vec(), 2),
                ('\\', Some(b'x')) => (vec![u8::from_str_radix(&rest[2..4], 16).unwrap()], 4),
                ('\\', Some(b'u')) => {
                    let end = rest.find('}').unwrap();
                    let c = char::from_u32(u32::from_str_radix(&rest[3..end], 16).unwrap()).unwrap();
                    (c.to_string().into_bytes(), end + 1)
                }
                _ => (c.to_string().into_bytes(), c.len_utf8()),
            };
            bytes.extend(piece);
            rest = &rest[length..];
        }
        bytes
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn any_bytes_become_one_printable_line_and_can_be_read_back(bytes in any::<Vec<u8>>()) {
            let line = Printable::new(&bytes, usize::MAX).to_string();
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            prop_assert_eq!(original(&line), bytes);
        }
    }
}
