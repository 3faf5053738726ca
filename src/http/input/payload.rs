//! The payload of a JSON body: a value as it is, or the bytes that a string encodes in base64.

use super::json::{Fields, Value};
use super::values::{self, Scalar};
use crate::http::reply::in_field;

/// How a payload is encoded in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As the value itself.
    Plain,
    /// As a string of base64, which can hold any bytes.
    Base64,
}

/// The payload in `msg` or `payload`, by its `payload_encoding`.
pub fn read(fields: &mut Fields) -> Result<Vec<u8>, String> {
    let encoding = fields.read("payload_encoding", encoding)?.unwrap_or(Encoding::Plain);
    match (fields.take("msg"), fields.take("payload")) {
        (Some(_), Some(_)) => {
            Err("fields `msg` and `payload` are two names for one thing: only one may be there".to_owned())
        }
        (Some(value), None) => in_field("msg", encoding.decode(value)),
        (None, Some(value)) => in_field("payload", encoding.decode(value)),
        (None, None) => Err(fields.missing("msg")),
    }
}

pub fn encoding(value: Value) -> Result<Encoding, String> {
    match value.text()?.as_str() {
        "plain" => Ok(Encoding::Plain),
        "base64" => Ok(Encoding::Base64),
        _ => Err("must be \"plain\" or \"base64\"".to_owned()),
    }
}

impl Encoding {
    pub fn decode(self, value: Value) -> Result<Vec<u8>, String> {
        match self {
            Self::Plain => value.payload(),
            Self::Base64 => values::base64(&value.text()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(rest: &str) -> Result<Vec<u8>, String> {
        let body = format!("{{{rest}}}");
        let mut fields = Fields::parse(body.as_bytes())?;
        let payload = read(&mut fields)?;
        fields.finish("no others").map(|()| payload)
    }

    #[test]
    fn base64_is_decoded_and_plain_is_not() {
        for (rest, expected) in [
            (r#""msg":"AP/+","payload_encoding":"base64""#, &b"\0\xff\xfe"[..]),
            (r#""payload":"YQ==","payload_encoding":"base64""#, b"a"),
            (r#""msg":"","payload_encoding":"base64""#, b""),
            (r#""msg":"YQ==","payload_encoding":"plain""#, b"YQ=="),
            (r#""msg":"YQ==""#, b"YQ=="),
            (r#""msg":"\u0059Q==","payload_encoding":"base64""#, b"a"),
        ] {
            assert_eq!(payload(rest).as_deref(), Ok(expected), "{rest}");
        }
    }

    #[test]
    fn invalid_base64_is_refused() {
        for text in ["YQ", "YQ=", "YR==", "Y", "====", "=", "Y Q==", "YQ==\\n", "_-8=", "YQ==YQ==", "%59Q==", "ö"] {
            for name in ["msg", "payload"] {
                let error = format!("`{name}` must be base64 with its padding (RFC 4648, 4), and is not");
                assert_eq!(payload(&format!(r#""{name}":"{text}","payload_encoding":"base64""#)), Err(error), "{text}");
            }
        }
    }

    #[test]
    fn each_error_names_the_field_and_the_rule() {
        for (rest, error) in [
            (r#""msg":null,"payload_encoding":"base64""#, "`msg` must be a string, not null"),
            (r#""msg":{},"payload_encoding":"base64""#, "`msg` must be a string, not an object"),
            (r#""payload":1,"payload_encoding":"base64""#, "`payload` must be a string, not 1"),
            (r#""msg":"","payload_encoding":"hex""#, "`payload_encoding` must be \"plain\" or \"base64\""),
            (r#""msg":"","payload_encoding":"Base64""#, "`payload_encoding` must be \"plain\" or \"base64\""),
            (r#""msg":"","payload_encoding":1"#, "`payload_encoding` must be a string, not 1"),
            (r#""payload_encoding":"base64""#, "field `msg` is missing"),
        ] {
            assert_eq!(payload(rest).unwrap_err(), error);
        }
    }
}
