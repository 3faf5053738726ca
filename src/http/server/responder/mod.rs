//! How a handler answers a request: at once, later from any thread, or with a stream.

pub mod reply_writer;
mod waiting;

use std::sync::Arc;

use self::reply_writer::ReplyWriter;
use super::exchange::{Exchange, Stream};
use super::thread_pool::ThreadPool;
use crate::http::reply::Reply;

/// The threads that write replies instead of the thread that has made them.
#[derive(Clone)]
pub struct Writers {
    /// One thread for all replies.
    pub replies: ReplyWriter,
    /// A thread for each stream.
    pub streams: ThreadPool,
}

/// A request that waits for its reply. If it is dropped, the client gets none.
pub struct Responder {
    exchange: Exchange,
    writers: Writers,
    /// The origin of the page that may read the reply.
    origin: Option<Arc<str>>,
}

impl Responder {
    pub(super) fn new(exchange: Exchange, writers: Writers) -> Self {
        Self { exchange, writers, origin: None }
    }

    /// The request that is to be answered.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// Allows a browser to show the reply to a page of this origin.
    pub fn allow_origin(&mut self, origin: Option<Arc<str>>) {
        self.origin = origin;
    }

    /// Answers from the thread that serves the request: it writes the reply, unless the client has not yet read the
    /// earlier ones.
    pub fn reply_now(mut self, reply: Reply) {
        let reply = self.exchange.fit_in_reserve(reply.with_allowed_origin(self.origin.take()));
        // a request whose body is still to be read is served by a thread that may wait
        if self.exchange.may_wait() || self.exchange.has_room() {
            self.exchange.send(&reply);
        } else {
            self.writers.replies.push(self.exchange, reply);
        }
    }

    /// Answers from any thread, with `instead` where there is no memory for the reply. Never waits.
    pub fn reply_or(mut self, reply: Reply, instead: fn() -> Reply) {
        let reply = self.exchange.fit(reply, instead);
        self.reply(reply);
    }

    /// Answers from any thread. Never waits. The reply says what was done and must not be replaced by another, so it
    /// must be short, or have its memory already.
    pub fn reply(self, reply: Reply) {
        let reply = reply.with_allowed_origin(self.origin);
        // waking the thread that writes takes as long as writing
        if reply.is_short() && self.exchange.may_be_answered_here() {
            self.exchange.send(&reply);
        } else {
            self.writers.replies.push(self.exchange, reply);
        }
    }

    /// Answers with a stream, for as long as `write` runs in a thread of its own. Never waits.
    pub fn stream(self, head: Reply, write: impl FnOnce(Stream) + Send + 'static) {
        let head = head.with_allowed_origin(self.origin);
        let begin = move |exchange: Exchange| {
            if let Some(stream) = exchange.begin(&head) {
                write(stream);
            }
        };
        if let Some(exchange) = self.writers.streams.run(self.exchange, begin) {
            self.writers.replies.push(exchange, Reply::busy());
        }
    }
}
