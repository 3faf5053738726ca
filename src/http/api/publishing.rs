//! What the endpoints for one message have in common: from the message to the reply.

use std::time::Duration;

use super::call::{Call, Handled};
use super::keyed::{self, Turn};
use super::storing::When;
use crate::http::idempotency::Tell;
use crate::http::reply::{Reply, Told};
use crate::message::Message;
use crate::mqtt::{Callers, Outcome};

/// Publishes one message within this time.
type Start = Box<dyn FnOnce(Tell<Outcome>, Duration) + Send>;

impl Call<'_> {
    /// Publishes a message, unless the request repeats another one, which `endpoint` tells apart. The reply is made of
    /// what became of it.
    pub fn publish(
        &mut self,
        endpoint: &str,
        message: Message,
        when: When,
        reply: impl Fn(Told) -> Reply + Clone + Send + Sync + 'static,
    ) -> Result<Handled, Reply> {
        self.principal.may_publish(&message)?;
        when.check(&message)?;
        let key = match self.turn_of(endpoint, std::slice::from_ref(&message), when, &reply)? {
            Turn::Publishes(key) => key,
            Turn::Repeats(reply) => return Ok(Handled::Reply(reply)),
        };
        let start = self.prepare(message, when)?;
        Ok(Handled::later(move |responder| {
            keyed::start((key, 1, when), reply.clone(), move |told| responder.reply(reply(told)), start);
        }))
    }

    /// Takes what a message needs while it waits: of the token's rate too. Returns what publishes it or stores it.
    pub fn prepare(&mut self, mut message: Message, when: When) -> Result<Start, Reply> {
        self.principal.count(std::slice::from_ref(&message))?;
        self.add_context(&mut message)?;
        if let When::Stored { .. } = when {
            self.check_storable(&message)?;
        }
        let share = self.exchange.hand_over_room(message.bytes())?;
        let slot = self.principal.take_slot()?;
        let When::Stored { ttl, .. } = when else {
            let publisher = self.context.publisher.clone();
            return Ok(Box::new(move |Tell { told, mut late, .. }, timeout| {
                let caller = Box::new(move |outcome| {
                    // frees the slot before the reply, after which the client may publish again at once
                    drop(slot);
                    told(Told::Published(outcome));
                });
                publisher.publish(message, share, timeout, Callers { caller, late: late.pop() });
            }));
        };
        let (outbox, owner) = (self.context.outbox.clone(), self.principal.name().to_owned());
        Ok(Box::new(move |Tell { told, late_stored, key, .. }, timeout| {
            let done = Box::new(move |stored| {
                drop(slot);
                told(Told::Stored(stored));
            });
            outbox.store(vec![(message, share)], (ttl, &owner), key, timeout, (done, late_stored));
        }))
    }
}
