//! Splits an object or an array into its values, without parsing these.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::http::reply::shown;

/// One JSON value, as the client wrote it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Value<'a>(#[serde(borrow)] pub &'a RawValue);

/// How many values an object or an array may have. Displayed, it is the error for more of them.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The beginning of the error.
    pub prefix: &'static str,
    pub max: usize,
    /// What is counted.
    pub unit: &'static str,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, max, unit } = self;
        write!(f, "{prefix}more than {max} {unit}")
    }
}

/// Reads an array, with a limit for its items.
pub struct Array(pub Limit);

/// Reads an object, with a limit for its fields. Each name must be there once.
pub struct Object(pub Limit);

impl<'de> Visitor<'de> for Array {
    type Value = Vec<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() == self.0.max {
                return Err(Error::custom(self.0));
            }
            items.push(item);
        }
        Ok(items)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Vec<(String, Value<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields: Self::Value = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, _>()? {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(Error::custom(format_args!("field `{}` is there twice", shown(&name))));
            }
            if fields.len() == self.0.max {
                return Err(Error::custom(self.0));
            }
            fields.push((name, value));
        }
        Ok(fields)
    }
}
