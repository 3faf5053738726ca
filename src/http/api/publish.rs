//! `POST /publish`: one message, in the JSON that the tutorial's view takes.

use std::time::Duration;

use super::call::{Call, Handled};
use crate::http::input::json::Fields;
use crate::http::input::values::{self, Scalar};
use crate::http::input::{payload, properties};
use crate::http::reply::Reply;
use crate::message::{Message, Qos};

const FIELDS: &str = "`topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain`, `properties` and `timeout`";

pub fn publish(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (message, timeout) = parse(&call.json()?, call.context.max_timeout)?;
    call.principal.may_publish(&message)?;
    call.publish(message, timeout, Reply::from)
}

/// The message in a body, and its timeout if it has one.
///
/// # Errors
/// The text names the field and the rule.
pub fn parse(body: &[u8], max_timeout: Duration) -> Result<(Message, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let message = message(&mut fields)?;
    let timeout = fields.read("timeout", |value| values::timeout(value, max_timeout))?;
    fields.finish(FIELDS)?;
    Ok((message, timeout))
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
