//! A whole body that must be one JSON object or one JSON array.

use serde::Deserializer;
use serde::de::Visitor;
use serde_json::value::RawValue;

use super::form;

/// Reads a body whose first byte must be this one. The error says what is wrong, and where.
pub fn read<'a, V: Visitor<'a>>(body: &'a [u8], first: u8, expected: &str, visitor: V) -> Result<V::Value, String> {
    let invalid = |error: serde_json::Error| {
        form::describe(body).unwrap_or_else(|| format!("the body is not valid JSON: {error}"))
    };
    match body.trim_ascii_start().first() {
        None => Err(format!("the body is empty: it must be {expected}")),
        Some(byte) if *byte == first => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let read = deserializer.deserialize_any(visitor).and_then(|read| deserializer.end().map(|()| read));
            read.map_err(|error| if error.is_data() { error.to_string() } else { invalid(error) })
        }
        // serde's error for another type would repeat a string of any length
        Some(_) => {
            let parsed = serde_json::from_slice::<&RawValue>(body);
            Err(parsed.map_or_else(invalid, |_| format!("the body must be {expected}")))
        }
    }
}
