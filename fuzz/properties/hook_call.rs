//! The call of a hook: its topic, its query, its signature.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mqtt_bridge::config::{Encoding, Scheme};
use mqtt_bridge::http::{hook_query_and_topic, verify_signature};
use mqtt_bridge::message::{TopicName, TopicTemplate};
use serde_json::Value;

use super::{assert_one_printable_line, is_legal_name};

/// The example of GitHub's documentation: the only signature that can be right.
const KEY: &[u8] = b"It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// A topic with placeholders, a query, the value of all headers, each on a line of its own, and then the body.
pub fn hook_call(input: &[u8]) {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (topic, query, header, body) = (line(), line(), line(), line());
    let [Ok(topic), Ok(query), Ok(header)] = [topic, query, header].map(std::str::from_utf8) else { return };
    try_signatures(header, body);
    let template = match TopicTemplate::parse(topic) {
        Ok(template) => template,
        Err(error) => return assert_one_printable_line(&error),
    };
    match hook_query_and_topic(&template, query, |_| Ok(Some(header)), body) {
        Ok((json, name)) => {
            assert_json(query, &json);
            assert_topic(topic, &template, body, name);
        }
        Err(error) => assert_one_printable_line(&error),
    }
}

/// Whatever is filled in, the topic has the levels of the template and no wildcard.
fn assert_topic(text: &str, template: &TopicTemplate, body: &[u8], name: Result<TopicName, String>) {
    let name = match name {
        Ok(name) => name,
        Err(error) => return assert_one_printable_line(&error),
    };
    let levels = template.filter().as_str().split('/').count();
    assert!(is_legal_name(name.as_str()) && name.as_str().split('/').count() == levels, "{name:?} of {text:?}");
    assert!(template.filter().matches(&name), "{name:?} of {text:?}");
    // a second implementation of JSON Pointer
    let pointer = text.strip_prefix("{json.").and_then(|rest| rest.strip_suffix('}'));
    let pointer = pointer.filter(|pointer| !pointer.contains('}'));
    if let (Some(pointer), Ok(body)) = (pointer, serde_json::from_slice::<Value>(body)) {
        let found = body.pointer(pointer);
        assert!(found.is_some(), "{pointer:?} finds nothing");
        assert!(found.and_then(Value::as_str).is_none_or(|found| found == name.as_str()), "{found:?}, not {name:?}");
    }
}

/// A query as JSON has what the query has.
fn assert_json(query: &str, json: &[u8]) {
    let found: BTreeMap<String, String> = serde_json::from_slice(json).expect("an object of strings");
    let pairs = query.split('&').filter(|part| !part.is_empty());
    let pairs = pairs.map(|part| part.split_once('=').unwrap_or((part, "")));
    let expected: BTreeMap<String, String> = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    assert_eq!(found, expected);
}

/// A text whose escapes are valid.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// No other signature than that of the example is right.
fn try_signatures(header: &str, body: &[u8]) {
    let named = |encoding| Scheme::Body { header: "x".to_owned(), encoding };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
    for scheme in [Scheme::Github, Scheme::Stripe, Scheme::Standard, named(Encoding::Hex), named(Encoding::Base64)] {
        match verify_signature(&scheme, &[KEY.to_vec()], |_| Ok(Some(header)), body, now) {
            Ok(id) => {
                assert!(id.is_none() && body == BODY, "{scheme:?} takes {header:?}");
                assert_eq!(header.trim_start_matches("sha256=").to_ascii_lowercase(), SIGNATURE, "{scheme:?}");
            }
            Err(error) => assert_one_printable_line(&error.words),
        }
    }
}
