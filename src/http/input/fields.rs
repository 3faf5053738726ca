//! The fields of a JSON object, each taken once by its name and checked by its type.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::form;
use super::items::Items;
use super::values::Scalar;
use crate::http::reply::{SHOWN, in_field};
use crate::printable::Printable;
use crate::similar::{hint, similar};

/// The most fields that an object may have: each is compared with all others.
const FIELDS: Most = Most { before: "", count: 32, what: "fields" };

/// How many values there may be, and the words for more of them.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    pub before: &'static str,
    pub count: usize,
    pub what: &'static str,
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, count, what } = self;
        write!(f, "{before}more than {count} {what}")
    }
}

/// The fields of an object that are not yet taken, in their order; no name stands in it twice.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Parses a whole JSON text, which must be an object. The error says what is wrong, and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        let invalid = |error| form::words(body).unwrap_or_else(|| format!("the body is not valid JSON: {error}"));
        match body.trim_ascii_start().first() {
            None => Err("the body is empty: it must be a JSON object".to_owned()),
            Some(b'{') => serde_json::from_slice(body)
                .map_err(|error| if error.is_data() { error.to_string() } else { invalid(error) }),
            // asked for an object, the parser would repeat a string that it finds instead, whatever its length
            Some(_) => match serde_json::from_slice::<&RawValue>(body) {
                Ok(_) => Err("the body must be a JSON object".to_owned()),
                Err(error) => Err(invalid(error)),
            },
        }
    }

    /// The value of a field as it was written, if it is there.
    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let position = self.0.iter().position(|(other, _)| other == name)?;
        Some(Value(self.0.remove(position).1))
    }

    /// The checked value of a field, if it is there; the error names the field.
    pub fn read<T>(&mut self, name: &str, check: impl Fn(Value<'a>) -> Result<T, String>) -> Result<Option<T>, String> {
        self.take(name).map(|value| in_field(name, check(value))).transpose()
    }

    /// Refuses what was not taken: a field that we do not know would be ignored in silence.
    pub fn finish(self, known: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let shown = Printable::new(name, SHOWN);
                Err(format!("unknown field `{shown}`: there are {known}{}", hint(name, known)))
            }
        }
    }

    /// That a field is missing; one that may be meant for it is named.
    pub fn missing(&self, name: &str) -> String {
        let meant = self.0.iter().find(|(other, _)| similar(other, [name]).is_some());
        let unknown = meant.map(|(other, _)| {
            format!(", and field `{}` is unknown: did you mean `{name}`?", Printable::new(other, SHOWN))
        });
        format!("field `{name}` is missing{}", unknown.unwrap_or_default())
    }
}

/// One JSON value, as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a>(&'a RawValue);

impl<'a> From<&'a RawValue> for Value<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value)
    }
}

impl Scalar for Value<'_> {
    fn text(self) -> Result<String, String> {
        serde_json::from_str(self.0.get()).map_err(|_| self.wrong("a string"))
    }

    fn truth(self) -> Result<bool, String> {
        serde_json::from_str(self.0.get()).map_err(|_| self.wrong("true or false"))
    }

    fn whole_number(self) -> Result<i64, String> {
        whole_part(self.0.get()).parse().map_err(|_| self.wrong("a whole number"))
    }

    fn number(self) -> Result<f64, String> {
        self.0.get().parse().map_err(|_| self.wrong("a number"))
    }
}

impl<'a> Value<'a> {
    /// A whole JSON text; `None` if it is none.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }

    /// An object.
    pub fn object(self) -> Result<Fields<'a>, String> {
        match self.first() {
            b'{' => serde_json::from_str(self.0.get()).map_err(|error: serde_json::Error| error.to_string()),
            _ => Err(self.wrong("an object")),
        }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// The values of an array, which has no more than so many: each takes more memory than bytes in the body.
    pub fn array(self, most: Most) -> Result<Vec<Value<'a>>, String> {
        if !self.is_array() {
            return Err(self.wrong("an array"));
        }
        let values = Items(most).deserialize(&mut serde_json::Deserializer::from_str(self.0.get()));
        values.map_err(|error| words(&error))
    }

    /// Names and values of an object, which has no more than so many.
    pub fn pairs(self, most: Most) -> Result<Vec<(String, Value<'a>)>, String> {
        if !self.is_object() {
            return Err(self.wrong("an object"));
        }
        let fields = serde_json::Deserializer::from_str(self.0.get()).deserialize_map(ObjectVisitor(most));
        Ok(fields.map_err(|error| words(&error))?.into_iter().map(|(name, value)| (name, Value(value))).collect())
    }

    /// What is published for this value: a string as it is, a number or a boolean as its text, null as nothing,
    /// an object or array as compact JSON with its numbers and the order of its fields untouched.
    pub fn payload(self) -> Result<Vec<u8>, String> {
        let json = self.0.get();
        match self.first() {
            b'"' => self.text().map(String::into_bytes),
            b'n' => Ok(Vec::new()),
            b'{' | b'[' => Ok(compact(json)),
            _ => Ok(json.as_bytes().to_vec()),
        }
    }

    /// The first byte tells the type of a JSON value.
    fn first(self) -> u8 {
        self.0.get().as_bytes().first().copied().unwrap_or_default()
    }

    fn wrong(self, expected: &str) -> String {
        let found = match self.first() {
            // the one way for a JSON string not to be a string of ours
            b'"' if expected == "a string" => "one with half a surrogate pair (\\ud800 to \\udfff alone)",
            b'"' => "a string",
            b'n' => "null",
            b't' | b'f' => "true or false",
            b'{' => "an object",
            b'[' => "an array",
            _ => return format!("must be {expected}, not {}", Printable::new(self.0.get(), SHOWN)),
        };
        format!("must be {expected}, not {found}")
    }
}

/// What is wrong, without the place: that is of no use where it counts from the start of a value.
fn words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = words.rfind(" at line ").filter(|_| error.is_data());
    place.map_or_else(|| words.clone(), |place| words[..place].to_owned())
}

/// A number without its fraction, if that is nothing: JSON has one kind of numbers, and some clients write 1 as `1.0`.
fn whole_part(number: &str) -> &str {
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
    // no longer than what it is made of: it may wait for the broker
    let mut compact = Vec::with_capacity(json.len());
    compact.extend(json.bytes().filter(|byte| keep(byte)));
    compact.shrink_to_fit();
    compact
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(FIELDS)).map(Self)
    }
}

struct ObjectVisitor(Most);

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields: Self::Value = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(Error::custom(format_args!("field `{}` is there twice", Printable::new(&name, SHOWN))));
            }
            if fields.len() == self.0.count {
                return Err(Error::custom(self.0));
            }
            fields.push((name, value));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(json: &str) -> Value<'_> {
        Value(serde_json::from_str(json).expect(json))
    }

    fn payload(json: &str) -> String {
        String::from_utf8(value(json).payload().expect(json)).unwrap()
    }

    #[test]
    fn what_is_not_one_json_object_is_refused_in_words() {
        for (body, words) in [
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
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err(), words, "{body}");
        }
        assert!(Fields::parse(b"{\"a\":\"\xff\"}").unwrap_err().starts_with("the body is not valid JSON: "));
        let many: Vec<String> = (0..=FIELDS.count).map(|n| format!("\"{n}\":0")).collect();
        assert!(
            Fields::parse(format!("{{{}}}", many.join(",")).as_bytes()).unwrap_err().starts_with("more than 32 fields")
        );
    }

    #[test]
    fn fields_are_taken_once_and_the_rest_is_named() {
        let mut fields = Fields::parse(br#"{"a": 1, "\u0062\n": 2}"#).unwrap();
        assert_eq!(fields.take("a").unwrap().whole_number(), Ok(1));
        assert!(fields.take("a").is_none());
        assert_eq!(fields.finish("`a`").unwrap_err(), "unknown field `b\\n`: there are `a`");
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_was_wanted_and_what_was_found() {
        assert_eq!(value("5").text().unwrap_err(), "must be a string, not 5");
        assert_eq!(value("null").text().unwrap_err(), "must be a string, not null");
        assert_eq!(
            value("\"\\ud800\"").text().unwrap_err(),
            "must be a string, not one with half a surrogate pair (\\ud800 to \\udfff alone)"
        );
        assert_eq!(value("\"1\"").whole_number().unwrap_err(), "must be a whole number, not a string");
        assert_eq!(value("1.5").whole_number().unwrap_err(), "must be a whole number, not 1.5");
        assert_eq!(value("1.0e1").whole_number().unwrap_err(), "must be a whole number, not 1.0e1");
        assert_eq!(value("\"1.0\"").whole_number().unwrap_err(), "must be a whole number, not a string");
        assert_eq!(value("[1]").number().unwrap_err(), "must be a number, not an array");
        assert_eq!(value("{}").truth().unwrap_err(), "must be true or false, not an object");
        assert_eq!(value("0").truth().unwrap_err(), "must be true or false, not 0");
    }

    #[test]
    fn a_fraction_of_nothing_is_none() {
        assert_eq!(value("1.0").whole_number(), Ok(1));
        assert_eq!(value("-20.000").whole_number(), Ok(-20));
    }

    #[test]
    fn every_json_value_has_its_payload() {
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
        #[test]
        fn compact_json_means_the_same_and_is_no_longer(texts in prop::collection::vec(any::<String>(), 0..5), number in any::<i64>()) {
            let object = serde_json::json!({ "texts": texts, "number": number, "deeper": [{ "x": null }] });
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            prop_assert_eq!(payload(&pretty), object.to_string());
        }

        #[test]
        fn no_body_panics(body in any::<Vec<u8>>(), text in "[{}\\[\\]\",:a0\\\\ ]{0,20}") {
            for body in [body.as_slice(), text.as_bytes()] {
                if let Ok(fields) = Fields::parse(body) {
                    for (_, raw) in &fields.0 {
                        let _ = Value(raw).payload();
                    }
                }
            }
        }
    }
}
