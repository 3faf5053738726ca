//! `POST /publish`: one message, in the JSON that the tutorial's view takes.

use std::time::Duration;

use super::call::{Call, Handled};
use super::storing::{Longest, Times};
use crate::http::input::json::Fields;
use crate::http::input::values::{self, Scalar};
use crate::http::input::{payload, properties};
use crate::http::reply::Reply;
use crate::message::{Message, Qos};

const FIELDS: &str =
    "`topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain`, `properties`, `timeout` and `ttl`";

pub fn publish(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (message, Times { timeout, ttl }) = parse(&call.json()?, Longest::of(call.context))?;
    let when = call.when(ttl, timeout)?;
    call.publish("publish", message, when, Reply::from)
}

/// The message in a body, and the longest time that it may wait for its answer. For `fuzz/` only.
///
/// # Errors
/// The text names the field and the rule.
pub fn parse_body(body: &[u8], longest: Duration) -> Result<(Message, Option<Duration>), String> {
    parse(body, Longest { timeout: longest, ttl: longest }).map(|(message, times)| (message, times.timeout))
}

/// The message in a body, and its times.
///
/// # Errors
/// The text names the field and the rule.
pub fn parse(body: &[u8], longest: Longest) -> Result<(Message, Times), String> {
    let mut fields = Fields::parse(body)?;
    let message = message(&mut fields)?;
    let times = longest.read(&mut fields)?;
    fields.finish(FIELDS)?;
    Ok((message, times))
}

/// The message in the fields of an object.
pub fn message(fields: &mut Fields) -> Result<Message, String> {
    Ok(Message {
        topic: fields.read("topic", values::topic)?.ok_or_else(|| fields.missing("topic"))?,
        payload: payload::read(fields)?.into(),
        qos: fields.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce),
        retain: fields.read("retain", Scalar::boolean)?.unwrap_or(false),
        properties: fields.read("properties", properties::read)?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
