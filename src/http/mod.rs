//! The HTTP interface, in the order of a request's way: it comes in by a `listener`, a `generation` of the library's
//! server takes it, `connections` lets one of a connection pass at a time, as an `exchange`; `request` says what it must
//! be, `authorize` who may send it; an endpoint reads it (`publish`, `operations`), `reply` is the answer, `wire` its bytes, and `replies` writes
//! those that had to wait. A `door` is all that serves one socket: its `guard` watches what the library hides, by its
//! `sockets` and their `descriptors`, and `errands` are threads for whatever may have to wait for a client.

mod door;
mod listener;

mod connections;
mod descriptors;
mod exchange;
mod generation;
mod guard;
mod sockets;

mod authorize;
mod errands;
mod request;

mod fields;
mod properties;
mod publish;

mod operations;
mod probe;

mod replies;
mod reply;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use authorize::Reach;
pub use door::Door;
pub use listener::{BindError, Listener, listen};
// the bytes of a request, for `fuzz/` alone
#[doc(hidden)]
pub use publish::parse as publish_body;

use self::authorize::Gate;
use self::exchange::Exchange;
use self::replies::Replies;
use self::reply::Reply;
use self::request::{Target, require_method, require_sound_framing};
use crate::config::Config;
use crate::message::Message;
use crate::mqtt::Publisher;

/// The methods of what can only be read.
const READ: &str = "GET, HEAD";

/// The name of the thread that writes answers.
pub const REPLY_THREAD: &str = "reply";

/// What a request asks for.
enum Wanted {
    /// A message is to be published, and may take so long.
    Publish(Message, Duration),
    /// What is known already.
    Reply(Reply),
}

/// What the endpoints answer with.
#[derive(Clone)]
struct Endpoints {
    gate: Arc<Gate>,
    publisher: Publisher,
    replies: Replies,
    /// Bytes.
    max_body: usize,
    timeout: Duration,
    max_timeout: Duration,
}

impl Endpoints {
    /// For the requests of one listener, all of whose workers share the gate.
    fn new(config: &Config, publisher: Publisher, replies: Replies, reach: Reach) -> Self {
        Self {
            gate: Arc::new(Gate::new(config, reach)),
            publisher,
            replies,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
        }
    }

    /// Answers a request, at once or when the broker has.
    fn answer(&self, mut exchange: Exchange) {
        let Some(request) = exchange.request() else { return };
        let origin = self.gate.allowed_origin(request);
        if let Err(refusal) = require_sound_framing(request, self.max_body) {
            // what comes behind it may be anything
            exchange.set_last();
            return exchange.answer(&refusal.readable_by(origin));
        }
        match self.read(&mut exchange) {
            Ok(Wanted::Publish(message, timeout)) => {
                let replies = self.replies.clone();
                let answer = move |outcome| replies.push(exchange, Reply::from(outcome).readable_by(origin));
                self.publisher.publish(message, timeout, Box::new(answer));
            }
            Ok(Wanted::Reply(reply)) | Err(reply) => exchange.answer(&reply.readable_by(origin)),
        }
    }

    /// What a request asks for, or why it is refused.
    fn read(&self, exchange: &mut Exchange) -> Result<Wanted, Reply> {
        let request = exchange.request().ok_or_else(Reply::busy)?;
        let target = Target::of(request);
        // whoever watches over us need not have a token
        if target.path == "/healthz" {
            self.gate.admit_anybody(request)?;
            require_method(request, &target, READ)?;
            return Ok(Wanted::Reply(operations::healthz()));
        }
        let admitted = self.gate.admit(request)?;
        let reply = match target.path.as_str() {
            "/publish" => {
                let (message, timeout) = publish::read(self, exchange, &target)?;
                admitted.may_publish(&message.topic)?;
                return Ok(Wanted::Publish(message, timeout));
            }
            "/readyz" => operations::readyz,
            "/status" => operations::status,
            "/metrics" => operations::metrics,
            path => return Err(Reply::not_found(path)),
        };
        require_method(request, &target, READ)?;
        Ok(Wanted::Reply(reply(&self.publisher.status())))
    }

    /// Lets the thread that writes answers end when all are written.
    fn end_replies(&self) {
        self.replies.close();
    }
}
