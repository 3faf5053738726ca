//! What the endpoints for many messages have in common: from the body to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use super::outcomes;
use crate::http::input::context;
use crate::http::input::json::{Fields, items};
use crate::http::reply::Reply;
use crate::message::Message;
use crate::mqtt::{Caller, Outcome};

/// How the message in an object is read.
pub type Read = fn(Fields) -> Result<Message, Reply>;

impl Call<'_> {
    /// Publishes the messages of the body within this timeout for all of them together, by default the configured one.
    /// The reply is made of all outcomes.
    pub fn publish_all(
        &mut self,
        read: Read,
        timeout: Option<Duration>,
        reply: fn(Vec<Outcome>) -> Reply,
    ) -> Result<Handled, Reply> {
        let mut messages = self.messages(read)?;
        self.principal.may_publish_all(&messages)?;
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        // takes the memory of the context and of the reply before anything is sent
        let context = self.message_context()?;
        let bytes = messages.iter().map(|message| message.bytes() + message.bytes_with(&context)).sum::<usize>();
        if let Err(full) = self.exchange.make_room(bytes + Reply::room_for_results(messages.len())) {
            return Ok(Handled::Reply(reply(messages.iter().map(|_| Err(full.into())).collect())));
        }
        for (index, message) in messages.iter_mut().enumerate() {
            let added = context::add(&context, &mut message.properties);
            added.map_err(|error| Reply::invalid(error).for_item(index))?;
        }
        let with_resources = |message: Message| {
            let (share, slot) = (self.exchange.split_room(message.bytes()), self.principal.take_slot());
            (message, share, slot)
        };
        let messages: Vec<_> = messages.into_iter().map(with_resources).collect();
        Ok(Handled::later(move |responder| {
            let callers = outcomes::callers(messages.len(), move |all| responder.reply(reply(all)));
            let mut accepted = Vec::with_capacity(messages.len());
            for ((message, share, slot), tell) in messages.into_iter().zip(callers) {
                match slot {
                    Ok(slot) => {
                        let caller: Caller = Box::new(move |outcome| {
                            drop(slot);
                            tell(outcome);
                        });
                        accepted.push((message, share, caller.into()));
                    }
                    Err(failure) => tell(Err(failure)),
                }
            }
            publisher.publish_all(accepted, timeout);
        }))
    }

    /// Reads the messages of the body. Takes memory for them while they are parsed, in addition to the body's.
    fn messages(&mut self, read: Read) -> Result<Vec<Message>, Reply> {
        let body = self.json()?;
        let (mut messages, mut bytes, mut taken) = (Vec::new(), body.len(), 2 * body.len());
        for message in parse(&body, read)? {
            let message = message?;
            bytes += message.bytes();
            if bytes > taken {
                // in large steps, not for each message
                taken = bytes + body.len();
                self.exchange.make_room(taken)?;
            }
            messages.push(message);
        }
        Ok(messages)
    }
}

/// The messages in a JSON array, read one after the other.
pub fn parse(body: &[u8], read: Read) -> Result<impl Iterator<Item = Result<Message, Reply>>, Reply> {
    let message = move |(index, item)| {
        let message = Fields::of(item).map_err(Reply::from).and_then(read);
        message.map_err(|refusal| refusal.for_item(index))
    };
    Ok(items::parse(body)?.into_iter().enumerate().map(message))
}
