//! How a handler answers a request: at once, later from any thread, or with a stream.

use std::sync::Arc;

use super::reply_writer::ReplyWriter;
use crate::http::reply::Reply;
use crate::http::server::exchange::{Exchange, Stream};
use crate::http::server::thread_pool::ThreadPool;

/// The threads that write what the thread that knows an answer must not write itself.
#[derive(Clone)]
pub struct Writers {
    /// One thread, for answers.
    pub replies: ReplyWriter,
    /// A thread for each stream.
    pub streams: ThreadPool,
}

/// A request that waits for its answer. Without one it is answered with 500, and its connection ends.
pub struct Responder {
    exchange: Exchange,
    writers: Writers,
    /// The origin of the page that may read the answer.
    origin: Option<Arc<str>>,
}

impl Responder {
    pub(in crate::http::server) fn new(exchange: Exchange, writers: Writers) -> Self {
        Self { exchange, writers, origin: None }
    }

    /// The request, and what is known of its connection.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// Lets a browser show the answer to a page of this origin.
    pub fn allow_origin(&mut self, origin: Option<Arc<str>>) {
        self.origin = origin;
    }

    /// Answers from the thread that serves the request: the reply is written here, unless the client has not yet read
    /// the ones before it.
    pub fn reply_now(mut self, reply: Reply) {
        let reply = self.exchange.fit_in_reserve(reply.readable_by(self.origin.take()));
        // a request whose body is still to be read is served by a thread that may wait
        if self.exchange.may_wait() || self.exchange.has_room() {
            self.exchange.answer(&reply);
        } else {
            self.writers.replies.push(self.exchange, reply);
        }
    }

    /// Answers from any thread, with another reply where there is no memory for this one. Never waits.
    pub fn reply_or(mut self, reply: Reply, instead: fn() -> Reply) {
        let reply = self.exchange.fit(reply, instead);
        self.reply(reply);
    }

    /// Answers from any thread. Never waits. The reply says what was done, so no other may take its place: it is short, or
    /// has its memory already.
    pub fn reply(self, reply: Reply) {
        let reply = reply.readable_by(self.origin);
        // to wake the thread that writes takes as long as to write
        if reply.is_short() && self.exchange.may_be_answered_here() {
            self.exchange.answer(&reply);
        } else {
            self.writers.replies.push(self.exchange, reply);
        }
    }

    /// Begins an answer that lasts as long as `write`, in a thread of its own. Never waits.
    pub fn stream(self, head: Reply, write: impl FnOnce(Stream) + Send + 'static) {
        let head = head.readable_by(self.origin);
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
