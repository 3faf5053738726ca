//! One request as an endpoint sees it, and what the endpoint makes of it.

use std::sync::Arc;
use std::time::Duration;

use tiny_http::Request;

use super::outcomes;
use crate::http::Endpoints;
use crate::http::access::{Admitted, Place};
use crate::http::input::parameters::Parameters;
use crate::http::reply::Reply;
use crate::http::server::body::body;
use crate::http::server::exchange::{Exchange, Stream};
use crate::http::server::reply_writer::Replies;
use crate::http::server::request::{SMALL_BODY, Target, require_json, require_method};
use crate::http::server::thread_pool::Errands;
use crate::message::Message;
use crate::mqtt::{Caller, Failure, Outcome, Status};

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What an endpoint makes of a request.
pub enum Wanted {
    /// What is known already.
    Reply(Reply),
    /// What takes its time: it is begun with whoever is to be told, and must not wait itself.
    Later(Box<dyn FnOnce(Asker) + Send>),
}

/// A request that was let in.
pub struct Call<'a> {
    pub endpoints: &'a Endpoints,
    /// What its sender may do.
    pub admitted: Admitted<'a>,
    pub target: &'a Target,
    pub exchange: &'a mut Exchange,
}

impl Call<'_> {
    /// The request itself.
    pub fn request(&mut self) -> Result<&Request, Reply> {
        self.exchange.request().map(|request| &*request).ok_or_else(Reply::busy)
    }

    /// One of these methods, and no parameters.
    pub fn require(&mut self, methods: &'static str) -> Result<(), Reply> {
        require_method(self.request()?, methods)?;
        self.target.require_no_parameters()
    }

    /// One of these methods; and the parameters.
    pub fn parameters(&mut self, methods: &'static str) -> Result<Parameters, Reply> {
        require_method(self.request()?, methods)?;
        Parameters::parse(self.target.query.as_deref().unwrap_or_default()).map_err(Reply::invalid)
    }

    /// The whole body, whatever it is.
    pub fn body(&mut self) -> Result<Vec<u8>, Reply> {
        body(self.exchange, self.endpoints.max_body)
    }

    /// The whole body, which must be JSON. A byte order mark before it counts for nothing (RFC 8259, 8.1).
    pub fn json(&mut self) -> Result<Vec<u8>, Reply> {
        require_json(self.request()?)?;
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
        self.endpoints.subscriber.status()
    }

    /// Has a message published, which may take so long, or as long as the configuration says; its outcome makes the answer.
    pub fn publish(&mut self, message: Message, timeout: Option<Duration>, answer: fn(Outcome) -> Reply) -> Wanted {
        let (publisher, timeout) = (self.endpoints.publisher.clone(), timeout.unwrap_or(self.endpoints.timeout));
        let share = self.exchange.hand_over_room(message.bytes()).map_err(Failure::from);
        let (share, place) = match share.and_then(|share| Ok((share, self.admitted.place()?))) {
            Ok(both) => both,
            Err(failure) => return Wanted::Reply(answer(Err(failure))),
        };
        let tell = move |asker: Asker| {
            Box::new(move |outcome| {
                // whoever is answered has its place again
                drop(place);
                asker.tell(answer(outcome));
            })
        };
        Wanted::Later(Box::new(move |asker| publisher.publish(message, share, timeout, tell(asker))))
    }

    /// The same for many, all of which may take so long together.
    pub fn publish_all(
        &mut self,
        messages: Vec<Message>,
        timeout: Option<Duration>,
        answer: fn(Vec<Outcome>) -> Reply,
    ) -> Wanted {
        let (publisher, timeout) = (self.endpoints.publisher.clone(), timeout.unwrap_or(self.endpoints.timeout));
        // the answer has its room before anything is sent
        let bytes = messages.iter().map(Message::bytes).sum::<usize>() + Reply::room_for_results(messages.len());
        if let Err(full) = self.exchange.make_room(bytes) {
            return Wanted::Reply(answer(messages.iter().map(|_| Err(full.into())).collect()));
        }
        let placed = |message: Message| {
            let (share, place) = (self.exchange.split_room(message.bytes()), self.admitted.place());
            (message, share, place)
        };
        let messages: Vec<_> = messages.into_iter().map(placed).collect();
        Wanted::Later(Box::new(move |asker| {
            let callers = outcomes::callers(messages.len(), move |all| asker.tell(answer(all)));
            let mut taken = Vec::with_capacity(messages.len());
            for ((message, share, place), caller) in messages.into_iter().zip(callers) {
                match place {
                    Ok(place) => taken.push((message, share, with_place(place, caller))),
                    Err(failure) => caller(Err(failure)),
                }
            }
            publisher.publish_all(taken, timeout);
        }))
    }
}

/// The same caller, whose place is free again when it is told.
fn with_place(place: Option<Place>, caller: Caller) -> Caller {
    let Some(place) = place else { return caller };
    Box::new(move |outcome| {
        drop(place);
        caller(outcome);
    })
}

/// Whoever waits for an answer.
pub struct Asker {
    exchange: Exchange,
    replies: Replies,
    streams: Errands,
    /// Of the page that may read it.
    origin: Option<Arc<str>>,
}

impl Asker {
    pub fn new(exchange: Exchange, replies: Replies, streams: Errands, origin: Option<Arc<str>>) -> Self {
        Self { exchange, replies, streams, origin }
    }

    /// The same as [`Self::tell`], or another answer where there is no memory for one so long.
    pub fn tell_or(mut self, reply: Reply, instead: fn() -> Reply) {
        let reply = self.exchange.fit(reply, instead);
        self.tell(reply);
    }

    /// Has the answer written, which is short or has its room: it says what was done, and no other may take its place. Never
    /// waits.
    pub fn tell(self, reply: Reply) {
        let reply = reply.readable_by(self.origin);
        // waking the thread that writes takes as long as writing
        if reply.is_short() && self.exchange.may_be_answered_here() {
            self.exchange.answer(&reply);
        } else {
            self.replies.push(self.exchange, reply);
        }
    }

    /// Begins an answer that goes on for as long as `write` takes, in a thread of its own. Never waits.
    pub fn stream(self, head: Reply, write: impl FnOnce(Stream) + Send + 'static) {
        let head = head.readable_by(self.origin);
        let begin = move |exchange: Exchange| {
            if let Some(stream) = exchange.begin(&head) {
                write(stream);
            }
        };
        if let Some(exchange) = self.streams.run_with(self.exchange, begin) {
            self.replies.push(exchange, Reply::busy());
        }
    }
}
