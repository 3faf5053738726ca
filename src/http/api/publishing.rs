//! What the endpoints for one message have in common: from the message to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use crate::http::reply::Reply;
use crate::message::Message;
use crate::mqtt::Outcome;

impl Call<'_> {
    /// Publishes a message within this timeout, by default the configured one. The reply is made of its outcome.
    pub fn publish(
        &mut self,
        mut message: Message,
        timeout: Option<Duration>,
        reply: impl FnOnce(Outcome) -> Reply + Send + 'static,
    ) -> Result<Handled, Reply> {
        self.add_context(&mut message)?;
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        let share = self.exchange.hand_over_room(message.bytes())?;
        let slot = self.principal.take_slot()?;
        Ok(Handled::later(move |responder| {
            let caller = move |outcome| {
                // frees the slot before the reply, after which the client may publish again at once
                drop(slot);
                responder.reply(reply(outcome));
            };
            publisher.publish(message, share, timeout, Box::new(caller));
        }))
    }
}
