//! How one JSON value is read as a type.

use serde::Deserializer;
use serde::de::Visitor;

use super::raw::{Array, Limit, Object, Value};
use crate::http::input::values::Scalar;
use crate::http::reply::shown;

impl Scalar for Value<'_> {
    fn text(self) -> Result<String, String> {
        serde_json::from_str(self.0.get()).map_err(|_| self.not("a string"))
    }

    fn boolean(self) -> Result<bool, String> {
        serde_json::from_str(self.0.get()).map_err(|_| self.not("true or false"))
    }

    fn integer(self) -> Result<i64, String> {
        without_zero_fraction(self.0.get()).parse().map_err(|_| self.not("a whole number"))
    }

    fn number(self) -> Result<f64, String> {
        self.0.get().parse().map_err(|_| self.not("a number"))
    }
}

impl<'a> Value<'a> {
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// The items of an array.
    pub fn items(self, limit: Limit) -> Result<Vec<Value<'a>>, String> {
        if !self.is_array() {
            return Err(self.not("an array"));
        }
        self.read(Array(limit)).map_err(|error| without_position(&error))
    }

    pub fn pairs(self, limit: Limit) -> Result<Vec<(String, Value<'a>)>, String> {
        if !self.is_object() {
            return Err(self.not("an object"));
        }
        self.read(Object(limit)).map_err(|error| without_position(&error))
    }

    /// The payload that is published for this value: the text of a string, number or boolean, nothing for null, and
    /// compact JSON for an object or array, whose numbers and whose order of fields are kept.
    pub fn payload(self) -> Result<Vec<u8>, String> {
        let json = self.0.get();
        match self.first() {
            b'"' => self.text().map(String::into_bytes),
            b'n' => Ok(Vec::new()),
            b'{' | b'[' => Ok(compact(json)),
            _ => Ok(json.as_bytes().to_vec()),
        }
    }

    /// The text of a string, a number or a boolean.
    pub fn scalar_text(self) -> Result<String, String> {
        match self.first() {
            b'"' => self.text(),
            b'{' | b'[' | b'n' => Err(self.not("a string, a number, true or false")),
            _ => Ok(self.0.get().to_owned()),
        }
    }

    /// The first byte, which tells the type.
    fn first(self) -> u8 {
        self.0.get().as_bytes().first().copied().unwrap_or_default()
    }

    /// The error for a value that is not of the expected type.
    pub fn not(self, expected: &str) -> String {
        let found = match self.first() {
            // the only JSON strings that Rust's strings cannot hold
            b'"' if expected == "a string" => "one with half a surrogate pair (\\ud800 to \\udfff alone)",
            b'"' => "a string",
            b'n' => "null",
            b't' | b'f' => "true or false",
            b'{' => "an object",
            b'[' => "an array",
            _ => return format!("must be {expected}, not {}", shown(self.0.get())),
        };
        format!("must be {expected}, not {found}")
    }

    /// Splits it into its values.
    pub fn read<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        serde_json::Deserializer::from_str(self.0.get()).deserialize_any(visitor)
    }
}

/// An error without its position, which counts from the start of the value and not of the body.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = text.rfind(" at line ").filter(|_| error.is_data());
    position.map_or_else(|| text.clone(), |position| text[..position].to_owned())
}

/// A number without a fraction of zero: JSON has only one type of numbers, and some clients write 1 as `1.0`.
fn without_zero_fraction(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    }
}

/// The same JSON without white space between its tokens.
fn compact(json: &str) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let mut keep = |byte: &u8| {
        let keep = in_string || !byte.is_ascii_whitespace();
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        keep
    };
    // the payload may wait for the broker, so it takes no more memory than it needs
    let mut compact = Vec::with_capacity(json.len());
    compact.extend(json.bytes().filter(|byte| keep(byte)));
    compact.shrink_to_fit();
    compact
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(json: &str) -> Value<'_> {
        serde_json::from_str(json).expect(json)
    }

    fn payload(json: &str) -> String {
        String::from_utf8(value(json).payload().expect(json)).unwrap()
    }

    #[test]
    fn the_error_for_a_wrong_type_names_the_expected_and_the_found_one() {
        assert_eq!(value("5").text().unwrap_err(), "must be a string, not 5");
        assert_eq!(value("null").text().unwrap_err(), "must be a string, not null");
        assert_eq!(
            value("\"\\ud800\"").text().unwrap_err(),
            "must be a string, not one with half a surrogate pair (\\ud800 to \\udfff alone)"
        );
        assert_eq!(value("\"1\"").integer().unwrap_err(), "must be a whole number, not a string");
        assert_eq!(value("1.5").integer().unwrap_err(), "must be a whole number, not 1.5");
        assert_eq!(value("1.0e1").integer().unwrap_err(), "must be a whole number, not 1.0e1");
        assert_eq!(value("\"1.0\"").integer().unwrap_err(), "must be a whole number, not a string");
        assert_eq!(value("[1]").number().unwrap_err(), "must be a number, not an array");
        assert_eq!(value("{}").boolean().unwrap_err(), "must be true or false, not an object");
        assert_eq!(value("0").boolean().unwrap_err(), "must be true or false, not 0");
    }

    #[test]
    fn a_fraction_of_zero_is_ignored() {
        assert_eq!(value("1.0").integer(), Ok(1));
        assert_eq!(value("-20.000").integer(), Ok(-20));
    }

    #[test]
    fn every_json_value_has_a_payload() {
        for (json, expected) in [
            (r#""a\"\n\u00f6\u0000""#, "a\"\n\u{f6}\0"),
            ("\"\"", ""),
            ("null", ""),
            ("true", "true"),
            ("1.10", "1.10"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-1e400", "-1e400"),
            ("[ 1.10 , \"a b\" ]", "[1.10,\"a b\"]"),
            ("{ \"b\" : \"x \\\" y \\\\\" ,\n\"a\" : { } }", "{\"b\":\"x \\\" y \\\\\",\"a\":{}}"),
        ] {
            assert_eq!(payload(json), expected, "{json}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(payload(&deep), deep);
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn compact_json_has_the_same_meaning(texts in prop::collection::vec(any::<String>(), 0..5), number in any::<i64>()) {
            let object = serde_json::json!({ "texts": texts, "number": number, "deeper": [{ "x": null }] });
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            prop_assert_eq!(payload(&pretty), object.to_string());
        }
    }
}
