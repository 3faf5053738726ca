//! The HTTP interface: its routes, and the way of a request.
//!
//! 1. `server` takes a request from a socket and calls `handle` with a `Responder`. The body may still be to come.
//! 2. `handle` checks the framing: `server/request/framing.rs`.
//! 3. `access` admits the request, or refuses it for its host, its origin or its token: `access/mod.rs`.
//! 4. The route leads to an endpoint of `api`, a file each. It gets a `Call` (`api/call.rs`), which reads the body, and
//!    takes the values out of it with the help of `input`.
//! 5. The endpoint returns a `reply`, or work that `handle` starts: for a publish that of `api/publishing.rs`. The work
//!    keeps the responder, and replies by it when the outcome is known.

mod access;
mod api;
mod idempotency;
mod input;
mod reply;
mod server;

use std::io;
use std::sync::Arc;

pub use self::access::Tokens;
pub use self::api::context::Parts;
pub use self::idempotency::Keys;
// for `fuzz/` only
#[doc(hidden)]
pub use self::access::verify as verify_signature;
#[doc(hidden)]
pub use self::api::hooks::query_and_topic as hook_query_and_topic;
#[doc(hidden)]
pub use self::api::publish::parse_body as publish_body;
pub use self::server::{BindError, Listener, REPLY_THREAD, Server, check, listen};

use self::Endpoint::{Hook, NeedsToken, Open};
use self::api::call::{Call, Handled};
use self::api::context::Context;
use self::reply::Reply;
use self::server::{Exchange, Head, Responder, Target};
use crate::config::Config;
use crate::thread::Watch;

/// Every path. One that ends with `*` stands for all paths that begin with the rest.
const ROUTES: &[(&str, Endpoint)] = &[
    ("/publish", NeedsToken(api::publish::publish)),
    ("/publish/bulk", NeedsToken(api::publish_bulk::publish_bulk)),
    ("/topics/*", NeedsToken(api::topics::topics)),
    ("/hooks/*", Hook(api::hooks::hooks)),
    (api::emqx::PUBLISH, NeedsToken(api::emqx::publish)),
    (api::emqx::PUBLISH_BULK, NeedsToken(api::emqx::publish_bulk)),
    ("/outbox", NeedsToken(api::outbox::list)),
    ("/outbox/*", NeedsToken(api::outbox::one)),
    ("/request", NeedsToken(api::request::request)),
    ("/messages", NeedsToken(api::messages::messages)),
    ("/subscriptions", NeedsToken(api::subscriptions::subscriptions)),
    ("/subscribe", NeedsToken(api::subscribe::subscribe)),
    ("/unsubscribe", NeedsToken(api::unsubscribe::unsubscribe)),
    ("/status", NeedsToken(api::status::status)),
    ("/metrics", NeedsToken(api::metrics::metrics)),
    // without a token: for monitoring, and to learn how to use the bridge
    ("/healthz", Open(api::health::healthz)),
    ("/readyz", Open(api::health::readyz)),
    ("/openapi.json", Open(api::openapi::openapi)),
    ("/", Open(api::page::page)),
];

/// What handles the requests for a path.
#[derive(Clone, Copy)]
enum Endpoint {
    /// For anyone.
    Open(fn(&Context, Head) -> Result<Handled, Reply>),
    /// For callers with the secret or the signature of a hook, which it checks itself.
    Hook(fn(&Context, &Target, &mut Exchange) -> Result<Handled, Reply>),
    /// For callers with a token, if tokens are configured.
    NeedsToken(fn(&mut Call) -> Result<Handled, Reply>),
}

/// Serves the requests to a listener from now on.
///
/// # Errors
/// If the system has no thread or no descriptor left.
pub fn serve(listener: Listener, config: &Config, tokens: &Tokens, parts: &Parts, watch: &Watch) -> io::Result<Server> {
    let memory = parts.publisher.memory().clone();
    let context = Context::new(config, tokens.clone(), listener.reach(), parts.clone());
    Server::start(listener, &config.http, memory, watch, Arc::new(move |responder| handle(&context, responder)))
}

/// Handles one request: replies at once, or starts the work that replies later.
fn handle(context: &Context, mut responder: Responder) {
    let exchange = responder.exchange();
    let Some(head) = exchange.head() else { return };
    let (origin, target) = (context.access.allowed_origin(head), Target::of(head));
    let framing = exchange.require_sound_framing(context.max_body);
    let handled = framing.and_then(|()| admit_and_call(context, &target, exchange));
    responder.allow_origin(origin);
    match handled {
        Ok(Handled::Later(start)) => start(responder),
        Ok(Handled::Reply(reply)) => responder.reply_now(reply),
        Err(refusal) => responder.reply_now(api::emqx::translate(&target.path, refusal)),
    }
}

/// Admits the sender and calls the endpoint.
fn admit_and_call(context: &Context, target: &Target, exchange: &mut Exchange) -> Result<Handled, Reply> {
    let head = exchange.head().ok_or_else(Reply::busy)?;
    let endpoint = route(target.endpoint());
    if let Some(Open(endpoint)) = endpoint {
        context.access.admit_without_token(head)?;
        return endpoint(context, head);
    }
    if let Some(Hook(endpoint)) = endpoint {
        return endpoint(context, target, exchange);
    }
    let principal = context.access.admit(head)?;
    // only with a token does a sender learn which paths exist
    let Some(NeedsToken(endpoint)) = endpoint else { return Err(Reply::not_found(&target.shown_path())) };
    if let Some(token) = principal.token {
        exchange.charge(&token.memory);
    }
    endpoint(&mut Call { context, principal, target, exchange })
}

/// The endpoint of a path.
fn route(path: &str) -> Option<Endpoint> {
    let matches = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == path, |start| path.starts_with(start));
    ROUTES.iter().find(|(pattern, _)| matches(pattern)).map(|(_, endpoint)| *endpoint)
}
