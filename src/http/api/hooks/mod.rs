//! `GET` and `POST /hooks/{name}/{secret}`: publishes the message of a `[[hook]]`.

mod message;

use std::time::Instant;

pub use self::message::query_and_topic;

use self::message::Inputs;
use super::call::{Call, Handled};
use super::context::Context;
use crate::config::Method;
use crate::http::access::{Begun, Hook, Principal};
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{require_method, require_no_coding};
use crate::http::reply::Reply;
use crate::http::server::{Exchange, Responder, Target};
use crate::message::Message;
use crate::mqtt::{Caller, Failure, Outcome};

/// The path before the name of a hook.
const PATH: &str = "/hooks/";

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
    if let Some(id) = id {
        return publish_once(hook, call, message, id);
    }
    call.principal.may_publish(&message)?;
    call.publish(message, Some(hook.table.timeout), answer)
}

/// The reply for an outcome.
fn answer(outcome: Outcome) -> Reply {
    Reply::from(outcome).not_stored()
}

/// Publishes the message of a call with this identifier, unless one with the same identifier did. A repetition counts
/// for no limit.
fn publish_once(hook: &Hook, call: &mut Call, message: Message, id: String) -> Result<Handled, Reply> {
    let replays = hook.replays.clone();
    let prepared = if replays.is_repetition(&id, Instant::now()) {
        Err(Failure::Busy)
    } else {
        call.principal.may_publish(&message)?;
        Ok(call.prepare(message, Some(hook.table.timeout))?)
    };
    Ok(Handled::later(move |responder: Responder| match replays.begin(&id, responder, Instant::now()) {
        Begun::First(responder) => {
            let ended = replays.clone();
            let caller: Caller = Box::new(move |outcome: Outcome| {
                for waiting in ended.end(&id, &outcome, Instant::now()) {
                    waiting.reply(answer(outcome.clone()));
                }
                responder.reply(answer(outcome));
            });
            match prepared {
                Ok(start) => start(caller),
                // the call that it repeats has failed since then, and the sender may try again
                Err(failure) => caller(Err(failure)),
            }
        }
        Begun::Waits => {}
        Begun::Repeats(responder, outcome) => responder.reply(answer(outcome)),
    }))
}
