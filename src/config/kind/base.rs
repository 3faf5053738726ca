//! What a kind is, and what several of them need. Errors say what is allowed and what was found.

use toml::Value;

use crate::printable::Printable;

/// A kind of value.
pub trait Kind {
    /// What is made of it.
    type Value;

    /// # Errors
    /// What is allowed and what was found, as the text that follows the name of the key.
    fn read(value: &Value) -> Result<Self::Value, String>;
}

/// A key that has no value by default.
impl<K: Kind> Kind for Option<K> {
    type Value = Option<K::Value>;

    fn read(value: &Value) -> Result<Self::Value, String> {
        K::read(value).map(Some)
    }
}

kinds! {
    bool = |value: &Value| {
        value.as_bool().ok_or_else(|| format!("must be true or false, not {}", shown(value)))
    };
}

/// One of a few names.
pub fn choice<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| value.as_str() == Some(name));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (last, others) = names.split_last().map_or(("", &names[..]), |(last, others)| (last, others));
        format!("must be {} or {last}, not {}", others.join(", "), shown(value))
    })
}

/// An array in which each item passes a check.
pub fn list<T>(value: &Value, what: &str, check: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items =
        value.as_array().ok_or_else(|| format!("must be a list of {what} in brackets, not {}", shown(value)))?;
    items.iter().map(check).collect()
}

/// The value as an error text shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", Printable::new(text, 80)),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}
