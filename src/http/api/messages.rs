//! `GET /messages?topic=FILTER`: received messages as Server-Sent Events (HTML, 9.2), for as long as the client reads.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::call::{Call, Handled};
use super::received;
use crate::http::access::ReaderKind;
use crate::http::input::query::Parameters;
use crate::http::input::requirements::READ;
use crate::http::input::values;
use crate::http::reply::Reply;
use crate::http::server::Stream;
use crate::instance_id::instance_id;
use crate::jitter::jitter;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::{Event, Held, Listener, Missed, Refusal, Start};

/// How often something is written where there is nothing to say, so that both ends notice when the other one is gone.
const COMMENT_PAUSE: Duration = Duration::from_secs(15);
/// How often it is asked whether the client may be gone.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// How many comments a client gets at once that sends nothing more: one that is gone answers the first with a reset, of
/// which the second tells; one that has closed its side alone goes on reading.
const MAX_SUSPICIONS: u32 = 2;
/// A client that takes nothing for so long is taken for gone.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;
/// What clients call the last identifier where they cannot send a header.
const LAST_IDS: [&str; 2] = ["lastEventId", "last-event-id"];
/// What a stream begins with, so that clients see at once that it is there.
const BEGINNING: &[u8] = b": mqtt-bridge\n";
/// How long a client waits before it comes back, in milliseconds: each another time, so that not all come at once.
const MIN_RETRY: f64 = 1000.0;
const MAX_RETRY: f64 = 4000.0;
const COMMENT: &[u8] = b":\n\n";
/// What an event ends with.
const END: &[u8] = b"\n\n";

/// Opens a stream of what comes for a filter.
pub fn listen(mut call: Call) -> Result<Handled, Reply> {
    let parameters = call.parameters(READ)?;
    let Wish { filter, qos, last_id } = parse(parameters).map_err(Reply::invalid)?;
    call.principal.may_read(&filter)?;
    // the library lets nobody write before it has read the body, for which it has no limit
    if call.exchange.may_wait() || call.head()?.body_length().is_some_and(|length| length > 0) {
        return Err(Reply::invalid("a request for a stream must have no body".to_owned()));
    }
    let is_head = call.head()?.method() == "HEAD";
    if is_head {
        return Ok(Handled::Reply(Reply::events()));
    }
    let reader = call.principal.quota().map(|quota| quota.read(&filter, ReaderKind::Stream)).transpose()?;
    let run = instance_id();
    // a client that sends the header has seen more since its URL was made
    let id = call.head()?.header("Last-Event-ID")?.or(last_id.as_deref());
    let start = id.map_or(Start::Now, |id| start(id, run));
    let (subscriber, timeout) = (call.context.subscriber.clone(), call.context.timeout);
    Ok(Handled::Later(Box::new(move |responder| {
        let opened = move |opened| match opened {
            Ok(listener) => responder.stream(Reply::events(), move |stream| {
                write(stream, listener, run);
                drop(reader);
            }),
            Err(refusal) => responder.reply(Reply::from(refusal)),
        };
        subscriber.listen(&filter, qos, start, timeout, Box::new(opened));
    })))
}

/// What the parameters ask for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    filter: TopicFilter,
    qos: Qos,
    /// What others say in the header `Last-Event-ID`.
    last_id: Option<String>,
}

fn parse(mut parameters: Parameters) -> Result<Wish, String> {
    let filter = parameters.read("topic", values::filter)?.ok_or("parameter `topic` is missing")?;
    let qos = parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let last_id = match LAST_IDS.map(|name| parameters.take(name)) {
        [Some(_), Some(_)] => {
            return Err(format!("parameters `{}` and `{}` are two names for one thing", LAST_IDS[0], LAST_IDS[1]));
        }
        [one, other] => one.or(other),
    };
    parameters.finish("`topic`, `qos` and `lastEventId`")?;
    if filter.is_shared() {
        return Err("`topic` must not be a shared subscription: each listener gets every message".to_owned());
    }
    Ok(Wish { filter, qos, last_id })
}

/// Where a client goes on that has seen the event with this identifier.
fn start(id: &str, run: u64) -> Start {
    let mut parts = id.splitn(3, '-').map(|part| u64::from_str_radix(part, 16).ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(of_run), Some(channel), Some(position)) if of_run == run => Start::After(channel, position),
        _ => Start::Unknown,
    }
}

/// Writes what comes until the client is gone, or there is nothing more to be expected.
fn write(mut stream: Stream, mut listener: Listener, run: u64) {
    // whatever ends a stream, there is nobody left to tell
    let _ = write_events(&mut stream, &mut listener, run);
}

fn write_events(stream: &mut Stream, listener: &mut Listener, run: u64) -> io::Result<()> {
    let mut bytes = BEGINNING.to_vec();
    let retry = MIN_RETRY + jitter() * (MAX_RETRY - MIN_RETRY);
    write!(bytes, "retry: {retry:.0}\n\n")?;
    let (mut written, mut suspicions) = (Instant::now(), 0);
    loop {
        if !bytes.is_empty() {
            send(stream, &bytes, listener)?;
            bytes.clear();
            written = Instant::now();
        }
        let batch = listener.read((Instant::now() + LOOK_PAUSE).min(written + COMMENT_PAUSE));
        if let Some(missed) = batch.missed {
            write_missed(&mut bytes, missed)?;
        }
        for (position, event) in batch.events {
            write_head(&mut bytes, (run, listener.channel(), position))?;
            let mut rest = Some(0);
            while let Some(from) = rest {
                rest = append(&event, from, &mut bytes)?;
                if bytes.len() >= PIECE {
                    send(stream, &bytes, listener)?;
                    bytes.clear();
                }
            }
            bytes.extend_from_slice(END);
        }
        if let Some(refusal) = batch.refused {
            write_refused(&mut bytes, refusal)?;
        }
        if batch.ended {
            return send(stream, &bytes, listener).and_then(|()| stream.finish());
        }
        if bytes.is_empty() {
            let is_suspect = suspicions < MAX_SUSPICIONS && stream.is_at_end();
            suspicions += u32::from(is_suspect);
            if is_suspect || written.elapsed() >= COMMENT_PAUSE {
                bytes.extend_from_slice(COMMENT);
            }
        }
    }
}

fn send(stream: &mut Stream, bytes: &[u8], listener: &Listener) -> io::Result<()> {
    stream.send(bytes, STALLED, || listener.is_ended())
}

fn write_head(bytes: &mut Vec<u8>, (run, channel, position): (u64, u64, u64)) -> io::Result<()> {
    write!(bytes, "event: message\nid: {run:x}-{channel:x}-{position:x}\ndata: ")
}

/// Appends the next piece of an event, which is shared by all listeners, and never copied whole. Returns where the one
/// after it begins, or `None` at the end.
///
/// # Errors
/// If the event is gone: the client has been too slow for it, and what it has of it is of no use.
fn append(event: &Held, from: usize, bytes: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let event = event.get().ok_or(io::ErrorKind::TimedOut)?;
    let data = data(&event);
    let to = data.len().min(from + PIECE);
    bytes.extend_from_slice(&data[from..to]);
    Ok((to < data.len()).then_some(to))
}

/// Numbers and strings always have a JSON form, in one line.
fn data(event: &Event) -> &[u8] {
    event.form(|event| serde_json::to_vec(&received::Event::of(&event.message, event.time)).unwrap_or_default())
}

fn write_missed(bytes: &mut Vec<u8>, missed: Missed) -> io::Result<()> {
    let count = match missed {
        Missed::Known(count) => count.to_string(),
        Missed::Unknown => "null".to_owned(),
    };
    write!(bytes, "event: lagged\ndata: {{\"missed\":{count}}}\n\n")
}

/// An event `error` would be taken for a fault of the connection, which every client has a handler for.
fn write_refused(bytes: &mut Vec<u8>, refusal: Refusal) -> io::Result<()> {
    let reason_code = if let Refusal::Refused(code) = refusal { Some(code) } else { None };
    let told = json!({ "reason_code": reason_code, "error": refusal.to_string() });
    write!(bytes, "event: refused\ndata: {told}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Received;

    #[test]
    fn a_listener_asks_for_one_filter() {
        let parse = |query: &str| Parameters::parse(query).and_then(parse);
        let filter = |text: &str| TopicFilter::try_from(text.to_owned()).unwrap();
        let wish = |text, qos, last_id: Option<&str>| {
            let last_id = last_id.map(str::to_owned);
            Ok(Wish { filter: filter(text), qos, last_id })
        };
        assert_eq!(parse("topic=a/%23"), wish("a/#", Qos::AtMostOnce, None));
        assert_eq!(parse("qos=1&topic=+/b"), wish("+/b", Qos::AtLeastOnce, None));
        for name in ["lastEventId", "last-event-id"] {
            assert_eq!(parse(&format!("topic=a&{name}=1-2-%33")), wish("a", Qos::AtMostOnce, Some("1-2-3")));
        }
        for (query, words) in [
            ("", "parameter `topic` is missing"),
            ("topic=", "`topic` must not be empty"),
            ("topic=a%23", "`topic` `#` must be the last level, and all of it"),
            ("topic=a&topic=b", "parameter `topic` is there twice"),
            ("topic=a&x=1", "unknown parameter `x`: there are `topic`, `qos` and `lastEventId`"),
            (
                "topic=a&lastEventId=1&last-event-id=1",
                "parameters `lastEventId` and `last-event-id` are two names for one thing",
            ),
            ("topic=a&qos=3", "`qos` must be 0, 1 or 2, not 3"),
            ("topic=$share/g/a", "`topic` must not be a shared subscription: each listener gets every message"),
        ] {
            assert_eq!(parse(query).unwrap_err(), words, "{query}");
        }
    }

    #[test]
    fn an_identifier_tells_where_to_go_on() {
        assert_eq!(start("1f-a-10", 0x1f), Start::After(10, 16));
        for id in ["1e-a-10", "", "1f", "1f-a", "1f-a-", "1f-a-10-1", "x-y-z", "1f-a-fffffffffffffffff"] {
            assert_eq!(start(id, 0x1f), Start::Unknown, "{id}");
        }
    }

    #[test]
    fn an_event_is_three_lines_whatever_its_message_holds() {
        let message = Received { topic: b"a\n".to_vec(), payload: b"\r\n\ndata: x".to_vec(), ..Received::default() };
        let mut bytes = Vec::new();
        write_head(&mut bytes, (0x1f, 10, 16)).unwrap();
        bytes.extend_from_slice(data(&Event::new(message.into())));
        bytes.extend_from_slice(END);
        write_missed(&mut bytes, Missed::Known(7)).unwrap();
        write_missed(&mut bytes, Missed::Unknown).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let start =
            "event: message\nid: 1f-a-10\ndata: {\"topic\":\"a\\n\",\"payload\":\"\\r\\n\\ndata: x\",\"qos\":0,";
        assert!(text.starts_with(start), "{text}");
        let end = "}\n\nevent: lagged\ndata: {\"missed\":7}\n\nevent: lagged\ndata: {\"missed\":null}\n\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(text.lines().count(), 4 + 3 + 3);
    }
}
