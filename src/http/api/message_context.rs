//! Trace context and the attributes of an event, which a message takes over from the headers of its request.

use super::call::Call;
use crate::http::input::context;
use crate::http::reply::Reply;
use crate::message::{Message, Properties};

impl Call<'_> {
    /// Passes on the trace and the attributes of an event that the request has.
    pub fn add_context(&self, message: &mut Message) -> Result<(), Reply> {
        Ok(context::add(&self.message_context()?, &mut message.properties)?)
    }

    /// The user properties for the messages of the request: none in MQTT 3.1.1.
    pub fn message_context(&self) -> Result<Properties, Reply> {
        if self.context.has_properties { Ok(context::read(self.head()?)?) } else { Ok(Properties::default()) }
    }
}
