//! Forms: many clients send one unless they are told to send JSON.

use serde_json::{Map, Value};

use crate::http::input::percent::decode;
use crate::printable::Printable;

/// How much of the JSON is shown, in bytes.
const SHOWN: usize = 300;
/// How many fields of a form are shown.
const MAX_SHOWN: usize = 8;
/// How much of a body is examined, in bytes.
const EXAMINED: usize = 1024;

/// The error for a body that is a form, which shows the form as the JSON that it should be. `None` if it is no form.
pub fn describe(body: &[u8]) -> Option<String> {
    let beginning = &body[..body.len().min(EXAMINED)];
    let text = String::from_utf8_lossy(beginning);
    if text.starts_with("--") && text.to_ascii_lowercase().contains("content-disposition: form-data") {
        return Some("the body is a form (multipart/form-data), and must be JSON".to_owned());
    }
    let mut object = Map::new();
    for pair in text.split('&').take(MAX_SHOWN) {
        let (name, value) = pair.trim_end().split_once('=')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.%+[]".contains(c);
        if name.is_empty() || !name.chars().all(is_name) || value.contains(char::is_whitespace) {
            return None;
        }
        object.insert(decoded(name), typed(decoded(value)));
    }
    // the client sees only what it sent itself
    let json = Value::Object(object).to_string();
    let shown = Printable::new(&json, SHOWN);
    Some(format!("the body is a form (application/x-www-form-urlencoded), and must be JSON: {shown}"))
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    decode(&text).unwrap_or(text)
}

/// A form has no types: what looks like a number or a boolean becomes one.
fn typed(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_shown_as_the_json_that_it_should_be() {
        let shown = |body: &str| describe(body.as_bytes());
        let form = "the body is a form (application/x-www-form-urlencoded), and must be JSON: ";
        for (body, json) in [
            ("topic=a%2Fb&msg=hello+you&qos=1", r#"{"msg":"hello you","qos":1,"topic":"a/b"}"#),
            ("topic=a&retain=true\n", r#"{"retain":true,"topic":"a"}"#),
            ("topic=", r#"{"topic":""}"#),
        ] {
            assert_eq!(shown(body), Some(format!("{form}{json}")), "{body}");
        }
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"topic\"\r\n\r\na\r\n--x--\r\n";
        assert!(shown(multipart).unwrap().contains("multipart/form-data"));
        for other in ["", "hello", "{\"a\": 1", "a = b", "{'topic'='a'}", "<a href=\"x\">", "x=1&", "[1,2"] {
            assert_eq!(shown(other), None, "{other}");
        }
        assert!(describe(&b"a=%ff&b=c".repeat(100_000)).unwrap().len() < 1000);
    }
}
