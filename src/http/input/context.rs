//! The context that a request passes on to the receivers of its message: a trace, or the attributes of an event.

use super::percent::decode;
use crate::http::server::Head;
use crate::message::{MAX_USER_PROPERTIES, MqttString, Properties};

/// The headers of W3C Trace Context, which keep their names.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];
/// What the headers of a `CloudEvents` event in binary mode begin with (its HTTP binding, 3.1.3.1).
const EVENT_PREFIX: &str = "ce-";

/// The context of a request as properties.
///
/// The attributes of an event have no prefix in MQTT (`CloudEvents`, MQTT binding, 3.1.3.1).
///
/// # Errors
/// The header and the rule that it breaks.
pub fn read(head: Head) -> Result<Properties, String> {
    let mut context = Properties::default();
    for (name, value) in head.fields().filter(|(name, _)| may_pass_on(name)) {
        let name = name.to_ascii_lowercase();
        let Some((property, value)) = property(&name, value) else { continue };
        let text = |text: String| MqttString::try_from(text).map_err(|error| format!("header `{name}` {error}"));
        context.user_properties.push((text(property)?, text(value)?));
    }
    Ok(context)
}

/// Adds a context to the user properties of a message, except for names that are there already.
///
/// # Errors
/// If there are too many of them.
pub fn add(context: &Properties, properties: &mut Properties) -> Result<(), String> {
    let is_new = |name| properties.user_properties.iter().all(|(other, _)| other != name);
    let added: Vec<_> = context.user_properties.iter().filter(|(name, _)| is_new(name)).cloned().collect();
    if !added.is_empty() && properties.user_properties.len() + added.len() > MAX_USER_PROPERTIES {
        return Err(format!(
            "the headers of a trace or an event are over the limit of {MAX_USER_PROPERTIES} user properties"
        ));
    }
    properties.user_properties.extend(added);
    Ok(())
}

/// Whether a header may be passed on, without an allocation for each header of each request.
fn may_pass_on(name: &str) -> bool {
    let prefix = name.get(..EVENT_PREFIX.len()).unwrap_or_default();
    prefix.eq_ignore_ascii_case(EVENT_PREFIX) || TRACE.iter().any(|trace| name.eq_ignore_ascii_case(trace))
}

/// The user property of a header, if it is one that is passed on.
fn property(name: &str, value: &str) -> Option<(String, String)> {
    if TRACE.contains(&name) {
        return Some((name.to_owned(), value.to_owned()));
    }
    let attribute = name.strip_prefix(EVENT_PREFIX).filter(|attribute| !attribute.is_empty())?;
    // it may be quoted, and other characters than those of ASCII are escaped (the HTTP binding, 3.1.3.2)
    let value = unquoted(value);
    let decoded = decode(&value);
    Some((attribute.to_owned(), decoded.unwrap_or(value)))
}

/// The text of a quoted string (RFC 9110, 5.6.4), or a text without quotes.
fn unquoted(value: &str) -> String {
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return value.to_owned() };
    let mut escaped = false;
    let mut is_text = |character: &char| {
        escaped = *character == '\\' && !escaped;
        !escaped
    };
    quoted.chars().filter(|character| is_text(character)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::server::TestHead;
    use crate::message::{Message, Qos, TopicName};

    fn added(given: &[(&str, &str)], headers: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let text = |text: &str| MqttString::try_from(text.to_owned()).unwrap();
        let user_properties = given.iter().map(|(name, value)| (text(name), text(value))).collect();
        let mut properties = Properties { user_properties, ..Properties::default() };
        add(&read(TestHead::post(headers).head())?, &mut properties)?;
        let pair = |(name, value): &(MqttString, MqttString)| (name.as_str().to_owned(), value.as_str().to_owned());
        Ok(properties.user_properties.iter().map(pair).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn trace_context_and_the_attributes_of_an_event_become_user_properties() {
        let headers = [
            ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("ce-id", "1"),
            ("CE-Subject", "%C3%BC"),
            ("ce-broken", "100%"),
            ("ce-quoted", r#""a \"b\" \\ %20""#),
            ("ce-half", "\"a"),
            ("ce-", "x"),
            ("Content-Type", "text/plain"),
        ];
        let expected = pairs(&[
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("id", "1"),
            ("subject", "\u{fc}"),
            ("broken", "100%"),
            ("quoted", r#"a "b" \  "#),
            ("half", "\"a"),
        ]);
        assert_eq!(added(&[], &headers), Ok(expected));
    }

    #[test]
    fn what_the_message_has_already_is_not_replaced() {
        let headers = [("ce-id", "1"), ("tracestate", "a=1"), ("tracestate", "b=2")];
        let expected = pairs(&[("id", "own"), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert_eq!(added(&[("id", "own")], &headers), Ok(expected));
    }

    #[test]
    fn the_memory_of_a_context_is_taken_before_it_is_added() {
        let message = |user_properties| Message {
            topic: TopicName::try_from("a".to_owned()).unwrap(),
            payload: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties { user_properties, ..Properties::default() },
        };
        let pair = |text: &str| (text.to_owned().try_into().unwrap(), "x".repeat(100).try_into().unwrap());
        let context = read(TestHead::post(&[("ce-id", &"x".repeat(5000)), ("tracestate", "a")]).head()).unwrap();
        for given in 0..40 {
            let mut message = message((0..given).map(|_| pair("a")).collect());
            let enough = message.bytes() + message.bytes_with(&context);
            add(&context, &mut message.properties).unwrap();
            assert!((message.bytes()..2 * message.bytes()).contains(&enough), "{enough} for {}", message.bytes());
            assert_eq!(message.bytes_with(&Properties::default()), 0);
        }
    }

    #[test]
    fn each_error_names_the_header_or_the_limit() {
        let many = vec![("a", "b"); MAX_USER_PROPERTIES];
        assert_eq!(added(&many, &[]).unwrap().len(), MAX_USER_PROPERTIES);
        let error = "the headers of a trace or an event are over the limit of 100 user properties";
        assert_eq!(added(&many, &[("Ce-Id", "1")]), Err(error.to_owned()));
        let error = "header `ce-id` must not contain the character U+0000";
        assert_eq!(added(&[], &[("ce-id", "%00")]), Err(error.to_owned()));
    }
}
