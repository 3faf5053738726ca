//! The signatures of hooks: each is an HMAC with SHA-256 of the body as received, after what the scheme puts before it.

use std::time::{Duration, SystemTime};

use subtle::ConstantTimeEq;

use crate::config::{Encoding, Scheme};
use crate::http::input::values::base64;
use crate::signature::sign;

/// How far a timestamp may be from our clock, as the schemes recommend.
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// The longest identifier of a call, in bytes.
const MAX_ID: usize = 256;

/// Why a request is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Denied {
    pub words: String,
    /// The signature is right: the sender has a key, and perhaps a wrong clock.
    pub is_signed: bool,
}

impl Denied {
    fn signed(words: String) -> Self {
        Self { words, is_signed: true }
    }
}

impl From<String> for Denied {
    fn from(words: String) -> Self {
        Self { words, is_signed: false }
    }
}

/// Requires that a request is signed with one of the keys. Returns its identifier, if that is signed too.
///
/// # Errors
/// What is missing or wrong.
pub fn verify<'a>(
    scheme: &Scheme,
    keys: &[Vec<u8>],
    header: impl Fn(&str) -> Result<Option<&'a str>, String>,
    body: &[u8],
    now: SystemTime,
) -> Result<Option<String>, Denied> {
    let required = |name: &str| header(name)?.ok_or_else(|| format!("header `{name}` is missing"));
    match scheme {
        Scheme::Github => {
            let value = required("X-Hub-Signature-256")?;
            let signature = value.strip_prefix("sha256=").and_then(hexadecimal);
            require_match(keys, &[body], signature)?;
            Ok(None)
        }
        Scheme::Body { header, encoding } => {
            let value = required(header)?;
            let value = value.strip_prefix("sha256=").unwrap_or(value);
            let signature = match encoding {
                Encoding::Hex => hexadecimal(value),
                Encoding::Base64 => base64(value).ok(),
            };
            require_match(keys, &[body], signature)?;
            Ok(None)
        }
        Scheme::Stripe => {
            let fields: Vec<_> =
                required("Stripe-Signature")?.split(',').filter_map(|field| field.split_once('=')).collect();
            let of = |name: &'static str| {
                fields.iter().filter(move |(other, _)| other.trim() == name).map(|(_, value)| *value)
            };
            let timestamp = of("t").next().ok_or_else(|| "header `Stripe-Signature` has no `t`".to_owned())?;
            require_match(keys, &[timestamp.as_bytes(), b".", body], of("v1").filter_map(hexadecimal))?;
            require_recent(timestamp, now).map_err(Denied::signed)?;
            Ok(None)
        }
        Scheme::Standard => {
            let (id, timestamp) = (required("webhook-id")?, required("webhook-timestamp")?);
            let signatures = required("webhook-signature")?.split(' ').filter_map(|part| part.strip_prefix("v1,"));
            let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
            require_match(keys, &signed, signatures.filter_map(|part| base64(part).ok()))?;
            require_recent(timestamp, now).map_err(Denied::signed)?;
            if id.is_empty() {
                return Err(Denied::signed("header `webhook-id` is empty".to_owned()));
            }
            if id.len() > MAX_ID {
                return Err(Denied::signed(format!("header `webhook-id` is over the limit of {MAX_ID} bytes")));
            }
            Ok(Some(id.to_owned()))
        }
    }
}

/// Requires that one of the signatures is made with one of the keys. Each key takes one pass over the body, however
/// many signatures there are.
fn require_match(
    keys: &[Vec<u8>],
    signed: &[&[u8]],
    signatures: impl IntoIterator<Item = Vec<u8>>,
) -> Result<(), String> {
    let tags: Vec<_> = keys.iter().map(|key| sign(key, signed)).collect();
    let is_made = |signature: Vec<u8>| tags.iter().any(|tag| bool::from(tag.as_ref().ct_eq(&signature)));
    if signatures.into_iter().any(is_made) { Ok(()) } else { Err("the signature does not match".to_owned()) }
}

/// Requires a timestamp in seconds since 1970 that is close to our clock.
fn require_recent(timestamp: &str, now: SystemTime) -> Result<(), String> {
    let digits = Some(timestamp).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = digits.and_then(|digits| digits.parse().ok()).map(Duration::from_secs);
    let seconds = seconds.ok_or("the timestamp must be a number of seconds since 1970")?;
    let ours = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if ours.abs_diff(seconds) <= TOLERANCE {
        Ok(())
    } else {
        Err(format!("the timestamp is more than {} s from the clock of the bridge", TOLERANCE.as_secs()))
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let [high, low] = <[u8; 2]>::try_from(pair).ok()?.map(|digit| char::from(digit).to_digit(16));
            u8::try_from(high? * 16 + low?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::http::server::TestHead;

    fn check(
        scheme: &Scheme,
        key: &[u8],
        headers: &[(&str, &str)],
        body: &str,
        at: u64,
    ) -> Result<Option<String>, String> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let keys = [b"another".to_vec(), key.to_vec()];
        let request = TestHead::post(headers);
        verify(scheme, &keys, |name| request.head().field(name), body.as_bytes(), now).map_err(|denied| denied.words)
    }

    #[test]
    fn the_example_of_github_matches() {
        // "Validating webhook deliveries", GitHub Docs
        let (key, header) = (b"It's a Secret to Everybody", "X-Hub-Signature-256");
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |value, body| check(&Scheme::Github, key, &[(header, value)], body, 0);
        assert_eq!(check(signature, "Hello, World!"), Ok(None));
        let mismatch = Err("the signature does not match".to_owned());
        assert_eq!(check(signature, "Hello, World?"), mismatch);
        assert_eq!(check(&signature[7..], "Hello, World!"), mismatch);
        assert_eq!(check("sha256=", "Hello, World!"), mismatch);
    }

    #[test]
    fn the_example_of_standard_webhooks_matches_for_a_while() {
        // the example of the specification, "Verifying webhook authenticity"
        let key = base64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, time) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let body = r#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let check = |signature: &str, body, at| {
            let headers = [("webhook-id", id), ("webhook-timestamp", "1614265330"), ("webhook-signature", signature)];
            check(&Scheme::Standard, &key, &headers, body, at)
        };
        assert_eq!(check(signature, body, time), Ok(Some(id.to_owned())));
        assert_eq!(check(&format!("v1,AAAA v1a,x {signature}"), body, time + 300), Ok(Some(id.to_owned())));
        let late = "the timestamp is more than 300 s from the clock of the bridge".to_owned();
        assert_eq!(check(signature, body, time + 301), Err(late.clone()));
        assert_eq!(check(signature, body, time - 301), Err(late));
        assert_eq!(check(signature, "{}", time), Err("the signature does not match".to_owned()));
        assert_eq!(check("v1a,x", body, time), Err("the signature does not match".to_owned()));
    }

    #[test]
    fn an_identifier_is_neither_empty_nor_long() {
        let check = |id: &str| {
            let tag = sign(b"key", &[id.as_bytes(), b".1000.", b"{}"]);
            let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
            let headers = [("webhook-id", id), ("webhook-timestamp", "1000"), ("webhook-signature", &signature)];
            check(&Scheme::Standard, b"key", &headers, "{}", 1000)
        };
        let longest = "x".repeat(MAX_ID);
        assert_eq!(check(&longest), Ok(Some(longest.clone())));
        assert_eq!(check(""), Err("header `webhook-id` is empty".to_owned()));
        let long = Err("header `webhook-id` is over the limit of 256 bytes".to_owned());
        assert_eq!(check(&"x".repeat(MAX_ID + 1)), long);
    }

    #[test]
    fn a_signature_of_stripe_covers_its_timestamp() {
        let key = b"whsec_test";
        let sign = |time: &str, body: &str| {
            let tag = sign(key, &[time.as_bytes(), b".", body.as_bytes()]);
            tag.as_ref().iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
        };
        let check = |value: &str| check(&Scheme::Stripe, key, &[("Stripe-Signature", value)], "{}", 1000);
        let good = sign("1000", "{}");
        assert_eq!(check(&format!("t=1000,v1={good}")), Ok(None));
        assert_eq!(check(&format!("t=1000, v1=00, v1={good},v0=x")), Ok(None));
        for (value, error) in [
            (format!("v1={good}"), "header `Stripe-Signature` has no `t`"),
            (format!("t=1001,v1={good}"), "the signature does not match"),
            ("t=1000".to_owned(), "the signature does not match"),
            (
                format!("t=699,v1={}", sign("699", "{}")),
                "the timestamp is more than 300 s from the clock of the bridge",
            ),
            (format!("t=+1000,v1={}", sign("+1000", "{}")), "the timestamp must be a number of seconds since 1970"),
        ] {
            assert_eq!(check(&value), Err(error.to_owned()), "{value}");
        }
    }

    #[test]
    fn a_header_of_the_configuration_has_the_signature_of_the_body() {
        // RFC 4231, 4.3
        let (key, body) = (b"Jefe", "what do ya want for nothing?");
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let scheme = |encoding| Scheme::Body { header: "X-Sig".to_owned(), encoding };
        for value in [hex, &hex.to_uppercase(), &format!("sha256={hex}")] {
            assert_eq!(check(&scheme(Encoding::Hex), key, &[("x-sig", value)], body, 0), Ok(None), "{value}");
        }
        let base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        assert_eq!(check(&scheme(Encoding::Base64), key, &[("X-Sig", base64)], body, 0), Ok(None));
        let missing = Err("header `X-Sig` is missing".to_owned());
        assert_eq!(check(&scheme(Encoding::Hex), key, &[], body, 0), missing);
        let twice = check(&scheme(Encoding::Hex), key, &[("X-Sig", hex), ("X-Sig", hex)], body, 0);
        assert_eq!(twice, Err("header `X-Sig` must not be there twice".to_owned()));
        for wrong in ["", "5", "zz", hex.get(2..).unwrap_or_default()] {
            assert!(check(&scheme(Encoding::Hex), key, &[("X-Sig", wrong)], body, 0).is_err(), "{wrong}");
        }
    }
}
