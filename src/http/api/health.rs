//! `GET /healthz` and `/readyz`: whether the bridge replies at all, and whether it does all that it is configured for.
//! Parameters are ignored, as some monitoring systems send them.

use super::call::Handled;
use super::context::Context;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::http::server::Head;

/// The whole error text for callers without a token, where tokens are configured.
const NOT_READY: &str = "the bridge is not ready";

/// 200 while requests are answered at all.
pub fn healthz(_: &Context, head: Head) -> Result<Handled, Reply> {
    require_method(head, READ)?;
    Ok(Handled::Reply(Reply::success()))
}

/// 200 while the bridge does all that it is configured for. With a token, the error text says what is missing.
pub fn readyz(context: &Context, head: Head) -> Result<Handled, Reply> {
    let sees_all = context.access.may_see_all(head)?;
    require_method(head, READ)?;
    let missing = context.subscriber.status().missing();
    let missing = missing.or_else(|| Some(format!("the outbox cannot be used: {}", context.outbox.status()?.trouble?)));
    let missing = missing.map(|missing| if sees_all { missing } else { NOT_READY.to_owned() });
    Ok(Handled::Reply(missing.map_or_else(Reply::success, Reply::not_ready)))
}
