//! The items of a JSON array, for endpoints that take many messages.

use super::body;
use super::raw::{Array, Limit, Value};

const LIMIT: Limit = Limit { prefix: "", max: 1000, unit: "items" };

/// The items of a body, which must be one array with at least one item. The error says what is wrong, and where.
pub fn parse(body: &[u8]) -> Result<Vec<Value<'_>>, String> {
    let items = body::read(body, b'[', "a JSON array", Array(LIMIT))?;
    if items.is_empty() {
        return Err("the array is empty: it must have an item".to_owned());
    }
    Ok(items)
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
    fn a_body_that_is_not_one_json_array_is_refused() {
        let deep = "[".repeat(100_000);
        for (body, error) in [
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
            assert_eq!(count(body).unwrap_err(), error);
        }
        assert_eq!(count(&format!("{deep}{}", "]".repeat(100_000))), Ok(1), "items are not parsed");
    }
}
