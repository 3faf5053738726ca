//! What the publishing endpoints have in common: from the messages of a call to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use super::outcomes;
use crate::http::access::Slot;
use crate::http::reply::Reply;
use crate::http::server::Responder;
use crate::message::Message;
use crate::mqtt::{Caller, Failure, Outcome};

impl Call<'_> {
    /// Collects the messages of a body of this length, in bytes. Takes memory for them while they are parsed, besides
    /// that of the body.
    pub fn collect(
        &mut self,
        body: usize,
        messages: impl Iterator<Item = Result<Message, Reply>>,
    ) -> Result<Vec<Message>, Reply> {
        let (mut collected, mut bytes, mut taken) = (Vec::new(), body, 2 * body);
        for message in messages {
            let message = message?;
            bytes += message.bytes();
            if bytes > taken {
                // in large steps, not for each message
                taken = bytes + body;
                self.exchange.make_room(taken)?;
            }
            collected.push(message);
        }
        Ok(collected)
    }

    /// Publishes a message within this timeout, by default the configured one. The reply is made of its outcome.
    pub fn publish(&mut self, message: Message, timeout: Option<Duration>, reply: fn(Outcome) -> Reply) -> Handled {
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        let share = self.exchange.hand_over_room(message.bytes()).map_err(Failure::from);
        let (share, slot) = match share.and_then(|share| Ok((share, self.principal.take_slot()?))) {
            Ok(both) => both,
            Err(failure) => return Handled::Reply(reply(Err(failure))),
        };
        // makes the caller when the work starts, which gets the responder
        let caller = move |responder: Responder| {
            Box::new(move |outcome| {
                // frees the slot before the reply, after which the client may publish again at once
                drop(slot);
                responder.reply(reply(outcome));
            })
        };
        Handled::later(move |responder| publisher.publish(message, share, timeout, caller(responder)))
    }

    /// The same for many messages; the timeout is for all of them together.
    pub fn publish_all(
        &mut self,
        messages: Vec<Message>,
        timeout: Option<Duration>,
        reply: fn(Vec<Outcome>) -> Reply,
    ) -> Handled {
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        // takes the memory of the reply before anything is sent
        let bytes = messages.iter().map(Message::bytes).sum::<usize>() + Reply::room_for_results(messages.len());
        if let Err(full) = self.exchange.make_room(bytes) {
            return Handled::Reply(reply(messages.iter().map(|_| Err(full.into())).collect()));
        }
        let with_resources = |message: Message| {
            let (share, slot) = (self.exchange.split_room(message.bytes()), self.principal.take_slot());
            (message, share, slot)
        };
        let messages: Vec<_> = messages.into_iter().map(with_resources).collect();
        Handled::later(move |responder| {
            let callers = outcomes::callers(messages.len(), move |all| responder.reply(reply(all)));
            let mut accepted = Vec::with_capacity(messages.len());
            for ((message, share, slot), caller) in messages.into_iter().zip(callers) {
                match slot {
                    Ok(slot) => accepted.push((message, share, with_slot(slot, caller))),
                    Err(failure) => caller(Err(failure)),
                }
            }
            publisher.publish_all(accepted, timeout);
        })
    }
}

/// The same caller, which frees the slot before it gets the outcome.
fn with_slot(slot: Option<Slot>, caller: Caller) -> Caller {
    let Some(slot) = slot else { return caller };
    Box::new(move |outcome| {
        drop(slot);
        caller(outcome);
    })
}
