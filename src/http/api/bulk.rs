//! What the endpoints for many messages have in common: from the body to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use super::keyed::{self, Turn};
use super::outcomes;
use super::storing::When;
use crate::http::access::Slot;
use crate::http::idempotency::Tell;
use crate::http::input::context;
use crate::http::input::json::{Fields, items};
use crate::http::reply::{Reply, Told};
use crate::memory::Share;
use crate::message::Message;
use crate::mqtt::{Caller, Callers, Failure, Outcome};

/// Publishes messages within this time.
type Start = Box<dyn FnOnce(Tell<Vec<Outcome>>, Duration) + Send>;

/// How the message in an object is read.
pub type Read = fn(Fields) -> Result<Message, Reply>;

/// The messages of a request, each with its memory and its slot.
type Held = Vec<(Message, Share, Result<Option<Slot>, Failure>)>;

impl Call<'_> {
    /// Publishes the messages of the body within one timeout for all of them, unless the request repeats another one,
    /// which `endpoint` tells apart. The reply is made of all outcomes.
    pub fn publish_all(
        &mut self,
        endpoint: &str,
        read: Read,
        when: When,
        reply: impl Fn(Told<Vec<Outcome>>) -> Reply + Clone + Send + Sync + 'static,
    ) -> Result<Handled, Reply> {
        let mut messages = self.messages(read)?;
        self.principal.may_publish_all(&messages)?;
        let checked = |(index, message)| when.check(message).map_err(|refusal| refusal.for_item(index));
        messages.iter().enumerate().try_for_each(checked)?;
        let key = match self.turn_of(endpoint, &messages, when, &reply)? {
            Turn::Publishes(key) => key,
            Turn::Repeats(reply) => return Ok(Handled::Reply(reply)),
        };
        self.principal.count(&messages)?;
        // takes the memory of the context and of the reply before anything is sent
        let context = self.message_context()?;
        let bytes = messages.iter().map(|message| message.bytes() + message.bytes_with(&context)).sum::<usize>();
        if let Err(full) = self.exchange.make_room(bytes + Reply::room_for_results(messages.len())) {
            if when.ttl().is_some() {
                return Err(full.into());
            }
            let outcomes = messages.iter().map(|_| Err(full.into())).collect();
            return Ok(Handled::Reply(reply(Told::Published(outcomes))));
        }
        for (index, message) in messages.iter_mut().enumerate() {
            let added = context::add(&context, &mut message.properties);
            added.map_err(|error| Reply::invalid(error).for_item(index))?;
            if let When::Stored { .. } = when {
                self.check_storable(message).map_err(|refusal| refusal.for_item(index))?;
            }
        }
        let with_resources = |message: Message| {
            let (share, slot) = (self.exchange.split_room(message.bytes()), self.principal.take_slot());
            (message, share, slot)
        };
        let (count, messages) = (messages.len(), messages.into_iter().map(with_resources).collect());
        let start = match when {
            When::Now(_) => self.publishing(messages),
            When::Stored { ttl, .. } => self.storing(messages, ttl)?,
        };
        Ok(Handled::later(move |responder| {
            keyed::start((key, count, when), reply.clone(), move |told| responder.reply(reply(told)), start);
        }))
    }

    /// What publishes messages within a time, except those that got no slot.
    fn publishing(&self, messages: Held) -> Start {
        let publisher = self.context.publisher.clone();
        Box::new(move |Tell { told, late, .. }, timeout| {
            let callers = outcomes::callers(messages.len(), move |all| told(Told::Published(all)));
            let late = late.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
            let mut accepted = Vec::with_capacity(messages.len());
            for (((message, share, slot), tell), late) in messages.into_iter().zip(callers).zip(late) {
                match slot {
                    Ok(slot) => {
                        let caller: Caller = Box::new(move |outcome| {
                            drop(slot);
                            tell(outcome);
                        });
                        accepted.push((message, share, Callers { caller, late }));
                    }
                    Err(failure) => tell(Err(failure)),
                }
            }
            publisher.publish_all(accepted, timeout);
        })
    }

    /// What stores messages for so long, all or none.
    fn storing(&self, messages: Held, ttl: Duration) -> Result<Start, Reply> {
        let (mut stored, mut slots) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
        for (message, share, slot) in messages {
            stored.push((message, share));
            slots.push(slot?);
        }
        let (outbox, owner) = (self.context.outbox.clone(), self.principal.name().to_owned());
        Ok(Box::new(move |Tell { told, late_stored, key, .. }, timeout| {
            let done = Box::new(move |ids| {
                drop(slots);
                told(Told::Stored(ids));
            });
            outbox.store(stored, (ttl, &owner), key, timeout, (done, late_stored));
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
