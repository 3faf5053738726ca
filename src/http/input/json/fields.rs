//! The fields of a JSON object.

use super::body;
use super::raw::{Limit, Object, Value};
use crate::http::input::named::Named;

/// Each field is compared with all others.
const LIMIT: Limit = Limit { prefix: "", max: 32, unit: "fields" };

pub type Fields<'a> = Named<Value<'a>>;

impl<'a> Fields<'a> {
    /// The fields of a body, which must be one object. The error says what is wrong, and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        body::read(body, b'{', "a JSON object", Object(LIMIT)).map(|fields| Self::new("field", fields))
    }

    /// The fields of a value, which must be an object.
    pub fn of(value: Value<'a>) -> Result<Self, String> {
        if !value.is_object() {
            return Err(value.not("an object"));
        }
        value.read(Object(LIMIT)).map(|fields| Self::new("field", fields)).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::input::values::Scalar;

    #[test]
    fn a_body_that_is_not_one_json_object_is_refused() {
        for (body, error) in [
            ("", "the body is empty: it must be a JSON object"),
            (" \n", "the body is empty: it must be a JSON object"),
            ("[]", "the body must be a JSON object"),
            ("\"a\"", "the body must be a JSON object"),
            ("null", "the body must be a JSON object"),
            ("{", "the body is not valid JSON: EOF while parsing an object at line 1 column 1"),
            ("hello", "the body is not valid JSON: expected value at line 1 column 1"),
            ("{} x", "the body is not valid JSON: trailing characters at line 1 column 4"),
            ("\"a\" x", "the body is not valid JSON: trailing characters at line 1 column 5"),
            ("{\"a\":1,}", "the body is not valid JSON: trailing comma at line 1 column 8"),
            ("{'a':1}", "the body is not valid JSON: key must be a string at line 1 column 2"),
            ("{\"a\":1,\"a\":2}", "field `a` is there twice at line 1 column 13"),
        ] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err(), error, "{body}");
        }
        assert!(Fields::parse(b"{\"a\":\"\xff\"}").unwrap_err().starts_with("the body is not valid JSON: "));
        let many: Vec<String> = (0..=LIMIT.max).map(|n| format!("\"{n}\":0")).collect();
        assert!(
            Fields::parse(format!("{{{}}}", many.join(",")).as_bytes()).unwrap_err().starts_with("more than 32 fields")
        );
    }

    #[test]
    fn fields_are_taken_once_and_an_unknown_field_is_named() {
        let mut fields = Fields::parse(br#"{"a": 1, "\u0062\n": 2}"#).unwrap();
        assert_eq!(fields.take("a").unwrap().integer(), Ok(1));
        assert!(fields.take("a").is_none());
        assert_eq!(fields.finish("`a`").unwrap_err(), "unknown field `b\\n`: there are `a`");
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn no_body_panics(body in any::<Vec<u8>>(), text in "[{}\\[\\]\",:a0\\\\ ]{0,20}") {
            for json in [body.as_slice(), text.as_bytes()] {
                if let Ok(fields) = body::read(json, b'{', "an object", Object(LIMIT)) {
                    for (_, value) in fields {
                        let _ = value.payload();
                    }
                }
            }
        }
    }
}
