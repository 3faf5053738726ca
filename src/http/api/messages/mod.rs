//! `GET /messages?topic=FILTER`: received messages as Server-Sent Events (HTML, 9.2), until the client disconnects.

mod events;
mod stream;

use super::call::{Call, Handled};
use crate::http::access::ReaderKind;
use crate::http::input::query::Parameters;
use crate::http::input::requirements::READ;
use crate::http::input::values::{self, Scalar};
use crate::http::reply::Reply;
use crate::instance_id::instance_id;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::Start;

/// The parameters for the last identifier, for clients that cannot send the header `Last-Event-ID`.
const LAST_IDS: [&str; 2] = ["lastEventId", "last-event-id"];

/// Opens a stream of the messages that match a filter.
pub fn messages(call: &mut Call) -> Result<Handled, Reply> {
    let parameters = call.parameters(READ)?;
    let (filter, qos, last_id) = parse(parameters)?;
    call.principal.may_read(&filter)?;
    call.require_no_body("a request that reads messages")?;
    if call.head()?.method() == "HEAD" {
        return Ok(Handled::Reply(Reply::events()));
    }
    let reader = call.principal.quota().map(|quota| quota.read(&filter, ReaderKind::Stream)).transpose()?;
    let run = instance_id();
    // when a client reconnects, its header is newer than its URL
    let id = call.head()?.header("Last-Event-ID")?.or(last_id.as_deref());
    let start = id.map_or(Start::Now, |id| start(id, run));
    let (subscriber, timeout) = (call.context.subscriber.clone(), call.context.timeout);
    Ok(Handled::later(move |responder| {
        let opened = move |opened| match opened {
            Ok(listener) => responder.stream(Reply::events(), move |stream| {
                // an error means that there is no client left to tell
                let _ = stream::write(stream, listener, run);
                drop(reader);
            }),
            Err(refusal) => responder.reply(Reply::from(refusal)),
        };
        subscriber.listen(&filter, qos, start, timeout, Box::new(opened));
    }))
}

/// The filter, the quality of service, and the last identifier if it is not in the header.
fn parse(mut parameters: Parameters) -> Result<(TopicFilter, Qos, Option<String>), String> {
    let filter = parameters.read("topic", values::filter)?.ok_or("parameter `topic` is missing")?;
    let qos = parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let last_id = parameters.read_either(LAST_IDS, Scalar::text)?;
    parameters.finish("`topic`, `qos` and `lastEventId`")?;
    if filter.is_shared() {
        return Err("`topic` must not be a shared subscription: each listener gets every message".to_owned());
    }
    Ok((filter, qos, last_id))
}

/// Where the stream begins for a client whose last event had this identifier.
fn start(id: &str, run: u64) -> Start {
    let mut parts = id.splitn(3, '-').map(|part| u64::from_str_radix(part, 16).ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(of_run), Some(buffer), Some(position)) if of_run == run => Start::After(buffer, position),
        _ => Start::Unknown,
    }
}

#[cfg(test)]
mod tests;
