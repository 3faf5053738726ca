//! Trace context and the attributes of an event, which a message takes over from the headers of its request, and the
//! idempotency key.

use super::call::Call;
use crate::http::input::context;
use crate::http::input::idempotency_key::IdempotencyKey;
use crate::http::reply::Reply;
use crate::message::{Message, MqttString, Properties};

/// The user property with the idempotency key.
const KEY: &str = "idempotency-key";

impl Call<'_> {
    /// Passes on the trace, the attributes of an event and the key that the request has.
    pub fn add_context(&self, message: &mut Message) -> Result<(), Reply> {
        Ok(context::add(&self.message_context()?, &mut message.properties)?)
    }

    /// The user properties for the messages of the request: none in MQTT 3.1.1.
    pub fn message_context(&self) -> Result<Properties, Reply> {
        if !self.context.has_properties {
            return Ok(Properties::default());
        }
        let mut properties = context::read(self.head()?)?;
        if let Some(key) = self.forwarded_key()? {
            let text = |text: &str| MqttString::try_from(text.to_owned()).map_err(|error| error.to_string());
            properties.user_properties.push((text(KEY)?, text(key.as_str())?));
        }
        Ok(properties)
    }

    fn forwarded_key(&self) -> Result<Option<IdempotencyKey>, Reply> {
        if self.context.forwards_keys { IdempotencyKey::of(self.head()?) } else { Ok(None) }
    }
}
