//! The HTTP interface: the table of its paths, and the way of a request through it.
//!
//! The `server` gets a request from a socket and hands it over with a `Responder`. `access` decides whether its sender is
//! let in, an endpoint of `api` reads it with the help of `input` and says what is to be done, and the `reply` goes
//! back by the responder: at once, or when the broker has answered.

mod access;
mod api;
mod input;
mod reply;
mod server;

use std::io;
use std::sync::Arc;

pub use self::access::Tokens;
// the bytes of a request, for `fuzz/` alone
#[doc(hidden)]
pub use self::api::publish::parse as publish_body;
pub use self::server::{BindError, Listener, REPLY_THREAD, Server, check, listen};

use self::Endpoint::{NeedsToken, Open};
use self::api::call::{Call, Handled};
use self::api::context::Context;
use self::api::{bulk, emqx, messages, openapi, operations, page, publish, request, subscriptions, topics};
use self::reply::Reply;
use self::server::{Exchange, Head, Limits, Responder, Target};
use crate::config::Config;
use crate::mqtt::{Publisher, Subscriber};
use crate::thread::Watch;

/// Every path there is. One that ends with `*` stands for all paths that begin so.
const ROUTES: [(&str, Endpoint); 16] = [
    ("/publish", NeedsToken(publish::publish)),
    ("/publish/bulk", NeedsToken(bulk::publish)),
    ("/topics/*", NeedsToken(topics::publish)),
    (emqx::PUBLISH, NeedsToken(emqx::publish)),
    (emqx::BULK, NeedsToken(emqx::publish_all)),
    ("/request", NeedsToken(request::ask)),
    ("/messages", NeedsToken(messages::listen)),
    ("/subscriptions", NeedsToken(subscriptions::list)),
    ("/subscribe", NeedsToken(subscriptions::subscribe)),
    ("/unsubscribe", NeedsToken(subscriptions::unsubscribe)),
    ("/status", NeedsToken(operations::status)),
    ("/metrics", NeedsToken(operations::metrics)),
    // who watches the bridge need not have a token, and who has one learns here what it is for
    ("/healthz", Open(operations::healthz)),
    ("/readyz", Open(operations::readyz)),
    ("/openapi.json", Open(openapi::openapi)),
    ("/", Open(page::page)),
];

/// What answers at a path.
#[derive(Clone, Copy)]
enum Endpoint {
    /// Anybody may call it.
    Open(fn(&Context, Head) -> Result<Handled, Reply>),
    /// Who calls it needs a token, where there are some.
    NeedsToken(fn(Call) -> Result<Handled, Reply>),
}

/// Serves the requests that come by a listener from now on.
///
/// # Errors
/// If the system has no thread or no descriptor to give.
pub fn serve(
    listener: Listener,
    config: &Config,
    tokens: &Tokens,
    publisher: &Publisher,
    subscriber: &Subscriber,
    watch: &Watch,
) -> io::Result<Server> {
    let http = &config.http;
    let limits = Limits {
        workers: http.workers,
        max_connections: http.max_connections,
        max_streams: http.max_listeners,
        max_body: http.max_body,
        idle_timeout: http.idle_timeout,
        request_timeout: http.request_timeout,
    };
    let memory = publisher.memory().clone();
    let context = Context::new(config, tokens.clone(), listener.reach(), publisher.clone(), subscriber.clone());
    Server::start(listener, &limits, memory, watch, Arc::new(move |responder| answer(&context, responder)))
}

/// Answers a request, at once or when the broker has answered.
fn answer(context: &Context, mut responder: Responder) {
    let exchange = responder.exchange();
    let Some(head) = exchange.head() else { return };
    let (origin, target) = (context.access.allowed_origin(head), Target::of(head));
    let framing = exchange.require_sound_framing(context.max_body);
    let handled = framing.and_then(|()| handle(context, &target, exchange));
    responder.allow_origin(origin);
    match handled {
        Ok(Handled::Later(begin)) => begin(responder),
        Ok(Handled::Reply(reply)) => responder.reply_now(reply),
        Err(refusal) => responder.reply_now(emqx::translate(&target.path, refusal)),
    }
}

/// Lets the sender in and has the endpoint read the request.
fn handle(context: &Context, target: &Target, exchange: &mut Exchange) -> Result<Handled, Reply> {
    let head = exchange.head().ok_or_else(Reply::busy)?;
    match route(target.endpoint()) {
        Some(Open(endpoint)) => {
            context.access.admit_without_token(head)?;
            endpoint(context, head)
        }
        endpoint => {
            let principal = context.access.admit(head)?;
            if let Some(token) = principal.token {
                exchange.charge(token.memory.clone());
            }
            match endpoint {
                Some(NeedsToken(endpoint)) => endpoint(Call { context, principal, target, exchange }),
                // a stranger does not learn which paths there are
                _ => Err(Reply::not_found(&target.path)),
            }
        }
    }
}

/// The endpoint of a path.
fn route(path: &str) -> Option<Endpoint> {
    let is_at = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == path, |start| path.starts_with(start));
    ROUTES.iter().find(|(pattern, _)| is_at(pattern)).map(|(_, endpoint)| *endpoint)
}
