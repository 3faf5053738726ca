//! The items of a JSON array, for what takes many messages at a time.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{Most, Value};
use super::form;

/// The most items that an array may have.
pub const MAX_ITEMS: usize = 1000;
const ITEMS: Most = Most { before: "", count: MAX_ITEMS, what: "items" };

/// Parses a whole JSON text, which must be an array of one item at least. The error says what is wrong, and where.
pub fn parse(body: &[u8]) -> Result<Vec<Value<'_>>, String> {
    let invalid =
        |error: serde_json::Error| form::words(body).unwrap_or_else(|| format!("the body is not valid JSON: {error}"));
    match body.trim_ascii_start().first() {
        None => return Err("the body is empty: it must be a JSON array".to_owned()),
        Some(b'[') => {}
        Some(_) => {
            let json = serde_json::from_slice::<&RawValue>(body);
            return Err(json.map_or_else(invalid, |_| "the body must be a JSON array".to_owned()));
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let items = Items(ITEMS).deserialize(&mut deserializer).and_then(|items| deserializer.end().map(|()| items));
    let items = items.map_err(|error| if error.is_data() { error.to_string() } else { invalid(error) })?;
    if items.is_empty() { Err("the array is empty: it must have an item".to_owned()) } else { Ok(items) }
}

/// The values of an array, of which there may be so many.
pub struct Items(pub Most);

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Vec<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element::<&'de RawValue>()? {
            if items.len() == self.0.count {
                return Err(Error::custom(self.0));
            }
            items.push(Value::from(item));
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(body: &str) -> Result<usize, String> {
        parse(body.as_bytes()).map(|items| items.len())
    }

    #[test]
    fn an_array_has_from_one_to_a_thousand_items() {
        let zeros = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!([count(" [ {} ] "), count(&zeros(1000))], [Ok(1), Ok(1000)]);
        assert_eq!(count(&zeros(1001)), Err("more than 1000 items at line 1 column 2003".to_owned()));
    }

    #[test]
    fn what_is_not_one_json_array_is_refused_in_words() {
        let deep = "[".repeat(100_000);
        for (body, words) in [
            ("", "the body is empty: it must be a JSON array"),
            ("\n ", "the body is empty: it must be a JSON array"),
            ("[]", "the array is empty: it must have an item"),
            ("{}", "the body must be a JSON array"),
            ("\"a\"", "the body must be a JSON array"),
            ("null", "the body must be a JSON array"),
            ("x", "the body is not valid JSON: expected value at line 1 column 1"),
            ("[0", "the body is not valid JSON: EOF while parsing a list at line 1 column 2"),
            ("[0,]", "the body is not valid JSON: trailing comma at line 1 column 4"),
            ("[0] x", "the body is not valid JSON: trailing characters at line 1 column 5"),
            (&deep, "the body is not valid JSON: EOF while parsing a list at line 1 column 100000"),
        ] {
            assert_eq!(count(body).unwrap_err(), words);
        }
        assert_eq!(count(&format!("{deep}{}", "]".repeat(100_000))), Ok(1), "what is in an item is not looked into");
    }
}
