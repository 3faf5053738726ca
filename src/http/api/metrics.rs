//! `GET /metrics`: metrics in the text format of Prometheus. Parameters are ignored.

use super::call::{Call, Handled};
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::metrics::{CONTENT_TYPE, render};

pub fn metrics(call: &mut Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    let status = call.context.subscriber.status();
    Ok(Handled::Reply(Reply::document(CONTENT_TYPE, render(&status.metrics()))))
}
