//! One request as an endpoint sees it, and what the endpoint makes of it.

use std::time::Duration;

use super::context::Context;
use super::outcomes;
use crate::http::access::{Principal, Slot};
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{require_json, require_method};
use crate::http::reply::Reply;
use crate::http::server::{Exchange, Head, Responder, SMALL_BODY, Target};
use crate::message::Message;
use crate::mqtt::{Caller, Failure, Outcome, Status};

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What an endpoint makes of a request.
pub enum Handled {
    /// What is known already.
    Reply(Reply),
    /// What takes its time: it is begun with whoever is to be told, and must not wait itself.
    Later(Box<dyn FnOnce(Responder) + Send>),
}

/// A request that was let in.
pub struct Call<'a> {
    pub context: &'a Context,
    /// What its sender may do.
    pub principal: Principal<'a>,
    pub target: &'a Target,
    pub exchange: &'a mut Exchange,
}

impl Call<'_> {
    /// The head of the request.
    pub fn head(&self) -> Result<Head<'_>, Reply> {
        self.exchange.head().ok_or_else(Reply::busy)
    }

    /// One of these methods, and no parameters.
    pub fn require(&mut self, methods: &'static str) -> Result<(), Reply> {
        require_method(self.head()?, methods)?;
        self.target.require_no_parameters()
    }

    /// One of these methods; and the parameters.
    pub fn parameters(&mut self, methods: &'static str) -> Result<Parameters, Reply> {
        require_method(self.head()?, methods)?;
        Parameters::parse(self.target.query.as_deref().unwrap_or_default()).map_err(Reply::invalid)
    }

    /// The whole body, whatever it is.
    pub fn body(&mut self) -> Result<Vec<u8>, Reply> {
        self.exchange.body(self.context.max_body)
    }

    /// The whole body, which must be JSON. A byte order mark before it counts for nothing (RFC 8259, 8.1).
    pub fn json(&mut self) -> Result<Vec<u8>, Reply> {
        require_json(self.head()?)?;
        let mut body = self.body()?;
        if body.starts_with(BYTE_ORDER_MARK) {
            body.drain(..BYTE_ORDER_MARK.len());
        }
        // what is made of it takes as much again
        if body.len() as u64 > SMALL_BODY {
            self.exchange.make_room(2 * body.len())?;
        }
        Ok(body)
    }

    /// The messages that are made of a body, as far as there is room for them beside it.
    pub fn gather<E>(
        &mut self,
        body: usize,
        messages: impl Iterator<Item = Result<Message, E>>,
    ) -> Result<Vec<Message>, Reply>
    where
        Reply: From<E>,
    {
        let (mut gathered, mut bytes, mut taken) = (Vec::new(), body, 2 * body);
        for message in messages {
            let message = message?;
            bytes += message.bytes();
            if bytes > taken {
                // not for each of them alone
                taken = bytes + body;
                self.exchange.make_room(taken)?;
            }
            gathered.push(message);
        }
        Ok(gathered)
    }

    /// What is known of the bridge.
    pub fn status(&self) -> Status {
        self.context.subscriber.status()
    }

    /// Has a message published, which may take so long, or as long as the configuration says; its outcome makes the answer.
    pub fn publish(&mut self, message: Message, timeout: Option<Duration>, answer: fn(Outcome) -> Reply) -> Handled {
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        let share = self.exchange.hand_over_room(message.bytes()).map_err(Failure::from);
        let (share, slot) = match share.and_then(|share| Ok((share, self.principal.take_slot()?))) {
            Ok(both) => both,
            Err(failure) => return Handled::Reply(answer(Err(failure))),
        };
        let tell = move |responder: Responder| {
            Box::new(move |outcome| {
                // frees the slot before the reply, after which the client may publish again at once
                drop(slot);
                responder.reply(answer(outcome));
            })
        };
        Handled::Later(Box::new(move |responder| publisher.publish(message, share, timeout, tell(responder))))
    }

    /// The same for many, all of which may take so long together.
    pub fn publish_all(
        &mut self,
        messages: Vec<Message>,
        timeout: Option<Duration>,
        answer: fn(Vec<Outcome>) -> Reply,
    ) -> Handled {
        let (publisher, timeout) = (self.context.publisher.clone(), timeout.unwrap_or(self.context.timeout));
        // the answer has its room before anything is sent
        let bytes = messages.iter().map(Message::bytes).sum::<usize>() + Reply::room_for_results(messages.len());
        if let Err(full) = self.exchange.make_room(bytes) {
            return Handled::Reply(answer(messages.iter().map(|_| Err(full.into())).collect()));
        }
        let placed = |message: Message| {
            let (share, slot) = (self.exchange.split_room(message.bytes()), self.principal.take_slot());
            (message, share, slot)
        };
        let messages: Vec<_> = messages.into_iter().map(placed).collect();
        Handled::Later(Box::new(move |responder| {
            let callers = outcomes::callers(messages.len(), move |all| responder.reply(answer(all)));
            let mut taken = Vec::with_capacity(messages.len());
            for ((message, share, slot), caller) in messages.into_iter().zip(callers) {
                match slot {
                    Ok(slot) => taken.push((message, share, with_slot(slot, caller))),
                    Err(failure) => caller(Err(failure)),
                }
            }
            publisher.publish_all(taken, timeout);
        }))
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
