//! JSON Pointer (RFC 6901): one value within another.

use super::raw::{Limit, Value};

/// The largest array and object that are searched. In an object each name is compared with all others.
const ITEMS: Limit = Limit { prefix: "must not have ", max: 10_000, unit: "values in one array" };
const FIELDS: Limit = Limit { prefix: "must not have ", max: 1000, unit: "fields in one object" };

/// The value that a pointer identifies; `None` if there is none.
///
/// # Errors
/// If an object or array on the way breaks a rule.
pub fn find<'a>(value: Value<'a>, pointer: &str) -> Result<Option<Value<'a>>, String> {
    let mut found = value;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        let next = if found.is_object() {
            found.pairs(FIELDS)?.into_iter().find(|(other, _)| *other == name).map(|(_, value)| value)
        } else if found.is_array() {
            let is_index = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
            let index = name.parse::<usize>().ok().filter(|_| is_index);
            let items = found.items(ITEMS)?;
            index.and_then(|index| items.get(index).copied())
        } else {
            None
        };
        let Some(next) = next else { return Ok(None) };
        found = next;
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::find as find_value;

    #[test]
    fn a_pointer_identifies_a_member_or_an_item() {
        let json = br#"{"a": {"b/c": [10, {"~": "x"}]}, "": "empty", "m~n": 8}"#;
        let find = |pointer: &str| {
            let found = find_value(serde_json::from_slice(json).unwrap(), pointer).unwrap();
            found.map(|value| value.payload().map(|text| String::from_utf8(text).unwrap()).unwrap())
        };
        for (pointer, text) in [("/a/b~1c/0", "10"), ("/a/b~1c/1/~0", "x"), ("/", "empty"), ("/m~0n", "8")] {
            assert_eq!(find(pointer).as_deref(), Some(text), "{pointer}");
        }
        for pointer in ["/b", "/a/b", "/a/b~1c/2", "/a/b~1c/00", "/a/b~1c/-", "/a/b~1c/0/x", "/m~0n/"] {
            assert_eq!(find(pointer), None, "{pointer}");
        }
        assert_eq!(
            find_value(serde_json::from_slice(b"7").unwrap(), "").unwrap().unwrap().scalar_text().as_deref(),
            Ok("7")
        );
    }
}
