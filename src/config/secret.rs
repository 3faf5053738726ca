//! The names of tokens, hooks and webhooks, and the secrets of the first two: how they are made and hashed.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::kind::{shown, text};

/// The longest name of a token, a hook or a webhook, in bytes.
const MAX_NAME: usize = 64;
/// Random bytes in a secret: as many as its hash has.
const SECRET_BYTES: usize = 32;

/// Why no secret could be made.
#[derive(Debug, Error)]
pub enum NewSecretError {
    /// The name breaks the rule.
    #[error("the name of a token or a hook must be {NAME_RULE}")]
    Name,
    /// The system gives no random bytes.
    #[error("cannot read /dev/urandom: {0}")]
    Random(#[from] io::Error),
}

/// What the name of a token, a hook or a webhook must be.
const NAME_RULE: &str = "1 to 64 of the characters A-Z a-z 0-9 . _ -, not all of them dots";

kinds! {
    /// It follows [`NAME_RULE`].
    struct Name -> String = |value| {
        let name = text(value)?;
        if is_name(&name) { Ok(name) } else { Err(format!("must be {NAME_RULE}, not {}", shown(value))) }
    };
}

/// Whether it follows [`NAME_RULE`].
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // clients leave out a part of a path that is `.` or `..` (RFC 3986, 5.2.4)
    let is_dots = name.bytes().all(|byte| byte == b'.');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed) && !is_dots
}

/// The hash of a secret, which the configuration has instead of the secret.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The bytes of a hash in 64 hexadecimal digits.
pub fn parse_hash(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

/// A new secret and the table for its token, as text for the person who asked.
///
/// # Errors
/// If the name breaks the rule, or the system gives no random bytes.
pub fn new_token(name: &str) -> Result<String, NewSecretError> {
    let (secret, sha256) = new_secret(name)?;
    Ok(format!(
        "secret, shown only now: {secret}\n\
         # put this into bridge.toml, and restart the daemon:\n\
         [[token]]\n\
         name = \"{name}\"\n\
         sha256 = \"{sha256}\"\n\
         # the topic filters that it may publish to; \"#\" is every topic\n\
         publish = [\"#\"]\n\
         # those that it may read\n\
         subscribe = []\n"
    ))
}

/// The path of a hook with a new secret, and the table for it, as text for the person who asked.
///
/// # Errors
/// If the name breaks the rule, or the system gives no random bytes.
pub fn new_hook(name: &str) -> Result<String, NewSecretError> {
    let (secret, sha256) = new_secret(name)?;
    Ok(format!(
        "path, shown only now: /hooks/{name}/{secret}\n\
         # put this into bridge.toml, and restart the daemon:\n\
         [[hook]]\n\
         name = \"{name}\"\n\
         secret-sha256 = \"{sha256}\"\n\
         # \"GET\" for senders that can only fetch a URL\n\
         methods = [\"POST\"]\n\
         # where the body goes; may have {{query.NAME}}, {{header.NAME}} and {{json./POINTER}}\n\
         topic = \"hooks/{name}\"\n"
    ))
}

/// A secret and its hash.
fn new_secret(name: &str) -> Result<(String, String), NewSecretError> {
    if !is_name(name) {
        return Err(NewSecretError::Name);
    }
    let mut random = [0; SECRET_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let secret = hexadecimal(&random);
    let sha256 = hexadecimal(&hash(&secret));
    Ok((secret, sha256))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // writing to a String cannot fail
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal(&hash("abc")), known);
        assert_eq!(parse_hash(known), Some(hash("abc")));
        assert_eq!(parse_hash(&known.to_uppercase()), Some(hash("abc")));
        for wrong in ["", &known[1..], &format!("{known}0"), &known.replace('b', "+"), &known.replace("ba", "ö")] {
            assert_eq!(parse_hash(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_short_and_has_few_kinds_of_characters() {
        for good in ["a", "kitchen.door_2-B", &"a".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a\"", "ö", "a\n", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn no_two_secrets_are_the_same() {
        let secret = || new_token("a").unwrap().lines().next().map(str::to_owned);
        assert_ne!(secret(), secret());
    }
}
