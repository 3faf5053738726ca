//! What a call of a hook publishes.

use bytes::Bytes;

use crate::config::HookTable;
use crate::http::input::json::{Value, pointer};
use crate::http::input::query::Parameters;
use crate::http::server::Head;
use crate::message::{Message, MqttString, Placeholder, Properties};

/// The parts of a call that the message is made of, besides the body.
pub struct Inputs<'a> {
    pub hook: &'a HookTable,
    pub head: Head<'a>,
    pub query: &'a Parameters,
    /// Whether messages can have properties: since MQTT 5.
    pub has_properties: bool,
}

impl Inputs<'_> {
    /// The message of a call with this body; that of a GET is its query.
    ///
    /// # Errors
    /// A value that is missing or that breaks a rule, by its name.
    pub fn message(&self, body: Vec<u8>, is_get: bool) -> Result<Message, String> {
        let topic = self.hook.topic.fill(|placeholder| self.value(placeholder, &body))?;
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

    fn value(&self, placeholder: &Placeholder, body: &[u8]) -> Result<String, String> {
        match placeholder {
            Placeholder::Query(name) => self.query.get(name).map(str::to_owned),
            Placeholder::Header(name) => self.head.field(name)?.map(str::to_owned),
            Placeholder::Json(at) => {
                let body = serde_json::from_slice(body).map_err(|_| "needs a body in JSON")?;
                pointer::find(body, at)?.map(Value::scalar_text).transpose()?
            }
        }
        .ok_or_else(|| "is missing".to_owned())
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

/// A part of a header. The error names the header.
fn mqtt_string(header: &str, text: &str) -> Result<MqttString, String> {
    MqttString::try_from(text.to_owned()).map_err(|error| format!("header `{header}` {error}"))
}
