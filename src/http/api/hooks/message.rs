//! The message that a call of a hook publishes.

use bytes::Bytes;

use crate::config::HookTable;
use crate::http::input::json::{Value, pointer};
use crate::http::input::query::Parameters;
use crate::http::server::Head;
use crate::message::{Message, MqttString, Placeholder, Properties, TopicName, TopicTemplate};

/// The parts of a call from which the message is made, except the body.
pub struct Inputs<'a> {
    pub hook: &'a HookTable,
    pub head: Head<'a>,
    pub query: &'a Parameters,
    /// Whether messages can have properties: since MQTT 5.
    pub has_properties: bool,
}

impl Inputs<'_> {
    /// The message of a call with this body. Without `msg` the payload of a GET is its query.
    ///
    /// # Errors
    /// A value that is missing or that breaks a rule, by its name.
    pub fn message(&self, body: Vec<u8>, is_get: bool) -> Result<Message, String> {
        let topic = topic(&self.hook.topic, self.query, |name| self.head.field(name), &body)?;
        let properties = if self.has_properties { self.properties(is_get)? } else { Properties::default() };
        let payload = match &self.hook.msg {
            Some(text) => Bytes::from(text.clone()),
            None if is_get => self.query.to_json().into(),
            None => body.into(),
        };
        if self.hook.retain && self.hook.msg.is_none() && payload.is_empty() {
            return Err("the body is empty, which would clear the retained message: the hook has no `msg`".to_owned());
        }
        Ok(Message { topic, payload, qos: self.hook.qos, retain: self.hook.retain, properties })
    }

    fn properties(&self, is_get: bool) -> Result<Properties, String> {
        let content_type = match (&self.hook.content_type, &self.hook.msg) {
            (Some(content_type), _) => Some(content_type.clone()),
            (None, Some(_)) => None,
            (None, None) if is_get => Some(mqtt_string("Content-Type", "application/json")?),
            (None, None) => {
                self.head.field("Content-Type")?.map(|text| mqtt_string("Content-Type", text)).transpose()?
            }
        };
        let mut user_properties = Vec::new();
        for name in &self.hook.properties {
            for (_, value) in self.head.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name)) {
                user_properties.push((mqtt_string(name, name)?, mqtt_string(name, value)?));
            }
        }
        Ok(Properties { content_type, user_properties, ..Properties::default() })
    }
}

/// The query of a call as JSON, and its topic. For `fuzz/` only.
///
/// # Errors
/// The rule that the query breaks.
pub fn query_and_topic<'a>(
    template: &TopicTemplate,
    query: &str,
    header: impl Fn(&str) -> Result<Option<&'a str>, String>,
    body: &[u8],
) -> Result<(Vec<u8>, Result<TopicName, String>), String> {
    let query = Parameters::parse(query)?;
    Ok((query.to_json(), topic(template, &query, header, body)))
}

/// The topic of a call with this query, these headers and this body. The error names the placeholder.
fn topic<'a>(
    template: &TopicTemplate,
    query: &Parameters,
    header: impl Fn(&str) -> Result<Option<&'a str>, String>,
    body: &[u8],
) -> Result<TopicName, String> {
    template.fill(|placeholder| {
        let value = match placeholder {
            Placeholder::Query(name) => query.get(name).map(str::to_owned),
            Placeholder::Header(name) => header(name)?.map(str::to_owned),
            Placeholder::Json(at) => {
                let body = serde_json::from_slice(body).map_err(|_| "needs a body in JSON")?;
                pointer::find(body, at)?.map(Value::scalar_text).transpose()?
            }
        };
        value.ok_or_else(|| "is missing".to_owned())
    })
}

/// The name or the value of a header. The error names the header.
fn mqtt_string(header: &str, text: &str) -> Result<MqttString, String> {
    MqttString::try_from(text.to_owned()).map_err(|error| format!("header `{header}` {error}"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::http::server::{Target, TestHead};

    fn escaped(text: &str) -> String {
        text.bytes().fold(String::new(), |mut all, byte| {
            write!(all, "%{byte:02X}").unwrap();
            all
        })
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn values_of_a_call_never_change_the_number_of_levels(
            query in ".{0,6}",
            raw in "[ -~]{0,6}",
            header in "[ -~]{0,6}",
            text in any::<String>(),
            plain in "[a-z0-9\u{e0}-\u{ff}]{1,6}",
        ) {
            let template = TopicTemplate::parse("a/{query.q}/b-{query.r}/{header.H}/{json./x/0}/c").unwrap();
            let fill = |query: &str, raw: &str, header: &str, text: &str| {
                let target = format!("/hooks/a/b?q={}&r={raw}", escaped(query));
                let request = TestHead::new("POST", &target, (1, 1), &[("h", header)]);
                let parameters = Parameters::parse(&Target::of(request.head()).query.unwrap_or_default())?;
                let body = serde_json::json!({ "x": [text] }).to_string();
                topic(&template, &parameters, |name| request.head().field(name), body.as_bytes())
            };
            if let Ok(name) = fill(&query, &raw, &header, &text) {
                prop_assert_eq!(name.as_str().split('/').count(), 6);
                prop_assert!(!name.as_str().contains(['+', '#', '\0']), "{:?}", name);
                prop_assert!(template.filter().matches(&name));
            }
            let good = fill(&plain, "r", "h", &plain).map(|name| name.as_str().to_owned());
            prop_assert_eq!(good, Ok(format!("a/{plain}/b-r/h/{plain}/c")));
        }
    }
}
