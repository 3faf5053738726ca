//! The identifier of a stored message.

use std::fmt;
use std::str::FromStr;

/// The identifier of a stored message, unique also where a new file took the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Random, of the file.
    pub file: u32,
    /// The order of acceptance, from 1.
    pub sequence: u64,
}

/// 24 hexadecimal digits.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:016x}", self.file, self.sequence)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 24 || !text.bytes().all(is_digit) {
            return Err(());
        }
        let part = |digits: &str| u64::from_str_radix(digits, 16).map_err(drop);
        let file = u32::try_from(part(&text[..8])?).map_err(drop)?;
        Ok(Self { file, sequence: part(&text[8..])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_again() {
        let id = Id { file: 0xAB, sequence: 0x1_0000_0000 };
        assert_eq!(id.to_string(), "000000ab0000000100000000");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "000000AB0000000100000000", "000000ab000000010000000g", "+00000ab0000000100000000"] {
            assert_eq!(text.parse::<Id>(), Err(()), "{text}");
        }
    }
}
