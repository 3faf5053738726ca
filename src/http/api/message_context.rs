//! The context that a message takes over from its request.

use super::call::Call;
use crate::http::input::context;
use crate::http::reply::Reply;
use crate::message::Message;

impl Call<'_> {
    /// Passes on the trace and the attributes of an event that the request has. In MQTT 3.1.1 there is no place for
    /// them.
    pub fn add_context(&self, message: &mut Message) -> Result<(), Reply> {
        if self.context.has_properties {
            context::add(self.head()?, &mut message.properties)?;
        }
        Ok(())
    }
}
