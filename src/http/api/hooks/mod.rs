//! `GET` and `POST /hooks/{name}/{secret}`: publishes what a `[[hook]]` of the configuration says.

mod message;

use std::time::Instant;

use self::message::Inputs;
use super::call::{Call, Handled};
use super::context::Context;
use crate::config::Method;
use crate::http::access::{Begun, Hook, Principal};
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{require_method, require_no_coding};
use crate::http::reply::Reply;
use crate::http::server::{Exchange, Responder, Target};
use crate::mqtt::Outcome;

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
    let hook = context.access.admit_hook(head, name, secret)?;
    require_method(head, methods(hook))?;
    if head.method() == "HEAD" {
        return Ok(Handled::Reply(Reply::no_message()));
    }
    exchange.charge(&hook.token.memory);
    let principal = Principal { token: Some(&hook.token) };
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
        call.require_no_body()?;
    }
    let body = call.body()?;
    let id = hook.verify(call.head()?, &body).inspect_err(|_| call.log_unsigned())?;
    let inputs =
        Inputs { hook: &hook.table, head: call.head()?, query: &query, has_properties: call.context.has_properties };
    let message = inputs.message(body, is_get).map_err(Reply::invalid)?;
    call.principal.may_publish(&message)?;
    let timeout = Some(hook.table.timeout);
    let Some(id) = id else {
        return call.publish(message, timeout, |outcome| Reply::from(outcome).not_stored());
    };
    let (replays, ended) = (hook.replays.clone(), id.clone());
    let reply = move |outcome: Outcome| {
        for waiting in replays.end(&ended, &outcome) {
            waiting.reply(Reply::from(outcome.clone()).not_stored());
        }
        Reply::from(outcome).not_stored()
    };
    let started = call.publish(message, timeout, reply)?;
    let Handled::Later(start) = started else { return Ok(started) };
    let replays = hook.replays.clone();
    Ok(Handled::later(move |responder: Responder| match replays.begin(&id, responder, Instant::now()) {
        Begun::First(responder) => start(responder),
        Begun::Waits => {}
        Begun::Repeats(responder, published) => responder.reply(Reply::from(published).not_stored()),
    }))
}
