//! Percent-encoding (RFC 3986, 2.1), as targets and forms use it.

/// Decodes a text once. The error is to follow the name of what was decoded.
pub fn decode(text: &str) -> Result<String, String> {
    // each part but the first follows a percent sign
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let decoded = part.as_bytes().split_at_checked(2).and_then(|(digits, rest)| Some((hex(digits)?, rest)));
        let (byte, rest) =
            decoded.ok_or("has a `%` without two hexadecimal digits behind it: a percent sign itself is `%25`")?;
        bytes.push(byte);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 when it is decoded".to_owned())
}

/// The byte that two hexadecimal digits encode.
fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.iter().try_fold(0, |byte, next| Some(byte << 4 | digit(next)?))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn decoding_reverses_encoding(text in any::<String>()) {
            let encoded = text.bytes().fold(String::new(), |mut all, byte| {
                write!(all, "%{byte:02x}").unwrap();
                all
            });
            prop_assert_eq!(decode(&encoded), Ok(text));
        }
    }
}
