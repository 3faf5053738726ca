//! `GET` and `POST /hooks/{name}/{secret}`: publishes the message of a `[[hook]]`.

mod message;

use std::time::Instant;

pub use self::message::query_and_topic;

use self::message::Inputs;
use super::call::{Call, Handled};
use super::context::Context;
use super::keyed::{self, Turn};
use super::storing::When;
use crate::config::Method;
use crate::http::access::{Begun, Hook, Principal};
use crate::http::idempotency::Tell;
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{require_method, require_no_coding};
use crate::http::reply::{Reply, Told};
use crate::http::server::{Exchange, Responder, Target};
use crate::message::Message;
use crate::mqtt::{Failure, Outcome};

/// The path before the name of a hook.
const PATH: &str = "/hooks/";
/// What makes a repetition of a call differ from other requests.
const ENDPOINT: &str = "hooks";

/// Calls a hook. No cache may store an answer.
pub fn hooks(context: &Context, target: &Target, exchange: &mut Exchange) -> Result<Handled, Reply> {
    call(context, target, exchange).map_err(Reply::not_stored)
}

fn call(context: &Context, target: &Target, exchange: &mut Exchange) -> Result<Handled, Reply> {
    let rest = target.path.strip_prefix(PATH).unwrap_or_default();
    let (name, secret) = rest.split_once('/').map_or((rest, None), |(name, secret)| (name, Some(secret)));
    let head = exchange.head().ok_or_else(Reply::busy)?;
    let (hook, token) = context.access.admit_hook(head, name, secret)?;
    require_method(head, methods(hook))?;
    if head.method() == "HEAD" {
        return Ok(Handled::Reply(Reply::no_message()));
    }
    exchange.charge(&token.memory);
    let principal = Principal { token: Some(token) };
    publish(hook, &mut Call { context, principal, target, exchange })
}

/// The methods of a hook, as in `Allow`.
fn methods(hook: &Hook) -> &'static str {
    let has = |method| hook.table.methods.contains(&method);
    match (has(Method::Get), has(Method::Post)) {
        (true, true) => "GET, HEAD, POST",
        (true, false) => "GET, HEAD",
        (false, _) => "POST",
    }
}

fn publish(hook: &Hook, call: &mut Call) -> Result<Handled, Reply> {
    let query = Parameters::parse(call.target.query.as_deref().unwrap_or_default()).map_err(Reply::invalid)?;
    require_no_coding(call.head()?)?;
    let is_get = call.head()?.method() == "GET";
    if is_get {
        call.require_no_body("a call by GET")?;
    }
    let body = call.body()?;
    let head = call.head()?;
    let id = call.context.access.verify_call(hook, head, &body)?;
    let inputs =
        Inputs { hook: &hook.table, head: call.head()?, query: &query, has_properties: call.context.has_properties };
    let message = inputs.message(body, is_get).map_err(Reply::invalid)?;
    let (ttl, timeout) = (hook.table.ttl, hook.table.timeout);
    let when = if call.context.stores_hooks { When::Stored { ttl, timeout } } else { When::Now(timeout) };
    match id {
        Some(id) => publish_once(hook, call, message, when, id),
        None => call.publish(ENDPOINT, message, when, answer),
    }
}

/// The reply to a caller that asked for nothing.
fn answer(told: Told) -> Reply {
    Reply::from(told).without_preference().not_stored()
}

/// Publishes the message of a call with this identifier, unless one with the same identifier did. A repetition counts
/// for no limit. Before that, an idempotency key tells a repetition too.
fn publish_once(hook: &Hook, call: &mut Call, message: Message, when: When, id: String) -> Result<Handled, Reply> {
    call.principal.may_publish(&message)?;
    let key = match call.turn_of(ENDPOINT, std::slice::from_ref(&message), when, answer)? {
        Turn::Publishes(key) => key,
        Turn::Repeats(reply) => return Ok(Handled::Reply(reply)),
    };
    let replays = hook.replays.clone();
    let is_repetition = replays.is_repetition(&id, Instant::now());
    let prepared = if is_repetition { None } else { Some(call.prepare(message, when)?) };
    Ok(Handled::later(move |responder: Responder| match replays.begin(&id, responder, Instant::now()) {
        Begun::First(responder) => {
            let (ended, corrected, late_id) = (replays.clone(), replays.clone(), id.clone());
            let told = move |told: Told| {
                for waiting in ended.end(&id, &told, is_done(&told), Instant::now()) {
                    waiting.reply(answer(told.clone()));
                }
                responder.reply(answer(told));
            };
            match prepared {
                Some(start) => {
                    let start = move |mut tell: Tell<Outcome>, left| {
                        let of_key = tell.late_stored.take();
                        tell.late_stored = Some(Box::new(move |stored| {
                            let told = Told::Stored(stored.clone());
                            corrected.correct(&late_id, &told, is_done(&told));
                            if let Some(of_key) = of_key {
                                of_key(stored);
                            }
                        }));
                        start(tell, left);
                    };
                    keyed::start((key, 1, when), answer, told, start);
                }
                // the call that it repeats has failed since then, and the sender may try again
                None => told(Told::Published(Err(Failure::Busy))),
            }
        }
        Begun::Waits => {}
        Begun::Repeats(responder, told) => responder.reply(answer(told)),
    }))
}

/// Whether the broker or the outbox has the message or may have it. After anything else the sender tries again with the
/// same identifier.
fn is_done(told: &Told) -> bool {
    matches!(told, Told::Published(Ok(_) | Err(Failure::Unknown))) || told.may_be_stored()
}
