//! What the endpoints for one message have in common: from the message to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use crate::http::reply::Reply;
use crate::message::Message;
use crate::mqtt::{Caller, Outcome};

/// Publishes one message.
type Start = Box<dyn FnOnce(Caller) + Send>;

impl Call<'_> {
    /// Publishes a message within this timeout, by default the configured one. The reply is made of its outcome.
    pub fn publish(
        &mut self,
        message: Message,
        timeout: Option<Duration>,
        reply: fn(Outcome) -> Reply,
    ) -> Result<Handled, Reply> {
        let start = self.prepare(message, timeout)?;
        Ok(Handled::later(move |responder| start(Box::new(move |outcome| responder.reply(reply(outcome))))))
    }

    /// Takes what a message needs while it waits. Returns what publishes it and calls the caller with the outcome.
    pub fn prepare(&mut self, mut message: Message, timeout: Option<Duration>) -> Result<Start, Reply> {
        self.add_context(&mut message)?;
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        let share = self.exchange.hand_over_room(message.bytes())?;
        let slot = self.principal.take_slot()?;
        Ok(Box::new(move |caller: Caller| {
            let caller: Caller = Box::new(move |outcome| {
                // frees the slot before the reply, after which the client may publish again at once
                drop(slot);
                caller(outcome);
            });
            publisher.publish(message, share, timeout, caller.into());
        }))
    }
}
