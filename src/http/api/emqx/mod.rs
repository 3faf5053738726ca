//! `POST /api/v5/publish` and `/api/v5/publish/bulk`: compatible with EMQX 5, so that its clients only need another
//! address.

mod message;
mod reason_codes;
mod replies;

use self::message::message;
use super::call::{Call, Handled};
use crate::http::input::json::Fields;
use crate::http::reply::Reply;

/// The path for one message.
pub const PUBLISH: &str = "/api/v5/publish";
/// The path for many messages.
pub const PUBLISH_BULK: &str = "/api/v5/publish/bulk";

pub fn publish(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let message = message(Fields::parse(&call.json()?)?)?;
    call.publish(PUBLISH, message, call.when(None, None)?, replies::single())
}

pub fn publish_bulk(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    call.publish_all(PUBLISH_BULK, message, call.when(None, None)?, replies::bulk())
}

/// Gives a refusal the form of EMQX if it is for one of these paths.
pub fn translate(path: &str, refusal: Reply) -> Reply {
    if path == PUBLISH || path == PUBLISH_BULK { replies::refused(refusal) } else { refusal }
}
