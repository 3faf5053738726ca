//! The HTTP interface, in the order of a request's way: it comes in by a `listener`, a `generation` of the library's
//! server takes it, `connections` lets one of a connection pass at a time, as an `exchange`; `request` says what it must
//! be, `authorize` who may send it; an endpoint reads it as a `call`, from the `fields` of its `body`, which may come in
//! `chunks`, or of the `items` of that, or the `parameters` of a path, each one of the `values`; `reply` is the answer,
//! `wire` its bytes, and `replies` writes those that come many at a time, or may have to wait for a client. A `door` is
//! all that serves one socket: its `guard` watches what the library hides, by its `sockets` and their `descriptors`, and
//! `errands` are threads for whatever has to wait for a client.

mod server;

mod access;

mod input;
mod reply;

mod api;

use std::sync::Arc;
use std::time::Duration;

use tiny_http::Request;

pub use access::{Bearers, Reach};
pub use server::Door;
pub use server::listener::{BindError, Listener, check, listen};
// the bytes of a request, for `fuzz/` alone
#[doc(hidden)]
pub use api::publish::parse as publish_body;

use self::access::Gate;
use self::api::call::{Asker, Call, Wanted};
use self::api::{bulk, emqx, messages, openapi, operations, page, publish, request, subscriptions, topics};
use self::reply::Reply;
use self::server::exchange::Exchange;
use self::server::reply_writer::Replies;
use self::server::request::{Target, require_sound_framing};
use self::server::thread_pool::Errands;
use super::mqtt::{Publisher, Subscriber};
use crate::config::{Config, Protocol};

/// The name of the thread that writes the answers that others must not.
pub const REPLY_THREAD: &str = "reply";

/// What the endpoints answer with.
#[derive(Clone)]
struct Endpoints {
    gate: Arc<Gate>,
    publisher: Publisher,
    subscriber: Subscriber,
    replies: Replies,
    /// Threads that write what goes on and on.
    streams: Errands,
    /// Bytes.
    max_body: usize,
    timeout: Duration,
    max_timeout: Duration,
    /// Whether the protocol has what MQTT 5 says about a message beside its payload.
    has_properties: bool,
}

impl Endpoints {
    /// For the requests of one listener, all of whose workers share the gate.
    fn new(
        config: &Config,
        publisher: Publisher,
        subscriber: Subscriber,
        (replies, streams): (Replies, Errands),
        (bearers, reach): (Bearers, Reach),
    ) -> Self {
        Self {
            gate: Arc::new(Gate::new(config, bearers, reach)),
            publisher,
            subscriber,
            replies,
            streams,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
            has_properties: config.mqtt.protocol == Protocol::V5,
        }
    }

    /// Answers a request, at once or when the broker has.
    fn answer(&self, mut exchange: Exchange) {
        let Some(request) = exchange.request() else { return };
        let origin = self.gate.allowed_origin(request);
        if let Err(refusal) = require_sound_framing(request, self.max_body) {
            let refusal = emqx::translate(&Target::of(request).path, refusal);
            // what comes behind it may be anything
            exchange.set_last();
            return self.reply(exchange, refusal.readable_by(origin));
        }
        match self.read(&mut exchange) {
            Ok(Wanted::Later(begin)) => begin(Asker::new(exchange, self.replies.clone(), self.streams.clone(), origin)),
            Ok(Wanted::Reply(reply)) | Err(reply) => self.reply(exchange, reply.readable_by(origin)),
        }
    }

    /// Writes what is known at once, unless the client has yet to take what it was written before.
    fn reply(&self, mut exchange: Exchange, reply: Reply) {
        let reply = exchange.fit_in_reserve(reply);
        // what is still to be read has a thread of its own, which may wait
        if exchange.may_wait() || exchange.has_room() {
            exchange.answer(&reply);
        } else {
            self.replies.push(exchange, reply);
        }
    }

    /// What a request asks for, or why it is refused, in the form of its path.
    fn read(&self, exchange: &mut Exchange) -> Result<Wanted, Reply> {
        let target = Target::of(exchange.request().ok_or_else(Reply::busy)?);
        self.read_at(&target, exchange).map_err(|refusal| emqx::translate(&target.path, refusal))
    }

    fn read_at(&self, target: &Target, exchange: &mut Exchange) -> Result<Wanted, Reply> {
        let request = exchange.request().ok_or_else(Reply::busy)?;
        if let Some(endpoint) = open_endpoint(target.endpoint()) {
            self.gate.admit_anybody(request)?;
            return endpoint(self, request, target);
        }
        let admitted = self.gate.admit(request)?;
        if let Some(memory) = admitted.memory() {
            exchange.charge(memory.clone());
        }
        answer(Call { endpoints: self, admitted, target, exchange })
    }

    /// Lets the thread that writes answers end when all are written.
    fn end_replies(&self) {
        self.replies.close();
    }
}

/// An endpoint that needs no token.
type OpenEndpoint = fn(&Endpoints, &Request, &Target) -> Result<Wanted, Reply>;

/// What is open to everybody: whoever watches over us need not have a token, and who has one learns here what it is for.
fn open_endpoint(path: &str) -> Option<OpenEndpoint> {
    match path {
        "/" => Some(page::page),
        "/healthz" => Some(operations::healthz),
        "/readyz" => Some(operations::readyz),
        "/openapi.json" => Some(openapi::openapi),
        _ => None,
    }
}

/// What needs a token, where there are some.
fn answer(call: Call) -> Result<Wanted, Reply> {
    match call.target.endpoint() {
        "/publish" => publish::publish(call),
        "/publish/bulk" => bulk::publish(call),
        emqx::PUBLISH => emqx::publish(call),
        emqx::BULK => emqx::publish_all(call),
        path if path.starts_with(topics::PATH) => topics::publish(call),
        "/subscriptions" => subscriptions::list(call),
        "/subscribe" => subscriptions::subscribe(call),
        "/unsubscribe" => subscriptions::unsubscribe(call),
        "/messages" => messages::listen(call),
        "/request" => request::ask(call),
        "/status" => operations::status(call),
        "/metrics" => operations::metrics(call),
        path => Err(Reply::not_found(path)),
    }
}
