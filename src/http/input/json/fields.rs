//! The fields of a JSON object, each taken by its name and checked by its type.

use serde_json::value::RawValue;

use super::body;
use super::raw::{Limit, Object};
use super::value::Value;
use crate::http::reply::{in_field, shown};
use crate::similar::{hint, similar};

/// Each field is compared with all others.
const LIMIT: Limit = Limit { prefix: "", max: 32, unit: "fields" };

/// The fields of an object that are not yet taken, in their order. Each name is there once.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(String, Value<'a>)>);

impl<'a> Fields<'a> {
    /// The fields of a body, which must be one object. The error says what is wrong, and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        body::read(body, b'{', "a JSON object", Object(LIMIT)).map(Self::from_raw)
    }

    /// The fields of a value, which must be an object.
    pub fn of(value: Value<'a>) -> Result<Self, String> {
        if !value.is_object() {
            return Err(value.not("an object"));
        }
        value.read(Object(LIMIT)).map(Self::from_raw).map_err(|error| error.to_string())
    }

    fn from_raw(fields: Vec<(String, &'a RawValue)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, value.into())).collect())
    }

    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let position = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(position).1)
    }

    /// The checked value of a field, if it is there. The error names the field.
    pub fn read<T>(&mut self, name: &str, check: impl Fn(Value<'a>) -> Result<T, String>) -> Result<Option<T>, String> {
        self.take(name).map(|value| in_field(name, check(value))).transpose()
    }

    /// Refuses fields that were not taken, as an unknown field would be ignored silently.
    pub fn finish(self, known: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown field `{}`: there are {known}{}", shown(name), hint(name, known))),
        }
    }

    /// The error for a missing field. It names an unknown field that the client may have meant for it.
    pub fn missing(&self, name: &str) -> String {
        let meant = self.0.iter().find(|(other, _)| similar(other, [name]).is_some());
        let unknown =
            meant.map(|(other, _)| format!(", and field `{}` is unknown: did you mean `{name}`?", shown(other)));
        format!("field `{name}` is missing{}", unknown.unwrap_or_default())
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
            for body in [body.as_slice(), text.as_bytes()] {
                if let Ok(fields) = Fields::parse(body) {
                    for (_, value) in &fields.0 {
                        let _ = value.payload();
                    }
                }
            }
        }
    }
}
