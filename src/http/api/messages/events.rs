//! How the events of a stream are written.

use std::io::{self, Write};

use serde_json::json;

use crate::jitter::jitter;
use crate::message::json::EventJson;
use crate::mqtt::{BufferedMessage, Handle, Missed, Refusal};

/// The most bytes that are written at once.
pub const PIECE: usize = 64 * 1024;
/// Shows clients at once that the stream is open.
const BEGINNING: &[u8] = b": mqtt-bridge\n";
/// The time after which a client reconnects, in milliseconds. It is random, so that clients do not all reconnect at
/// once.
const MIN_RETRY: f64 = 1000.0;
const MAX_RETRY: f64 = 4000.0;
/// A comment, which clients ignore.
pub const COMMENT: &[u8] = b":\n\n";
/// Ends an event.
pub const END: &[u8] = b"\n\n";

/// The beginning of a stream.
pub fn beginning() -> Vec<u8> {
    let retry = MIN_RETRY + jitter() * (MAX_RETRY - MIN_RETRY);
    [BEGINNING, format!("retry: {retry:.0}\n\n").as_bytes()].concat()
}

/// Appends the beginning of a message event, whose data follows. The three numbers are its identifier: those of the
/// process, of the topic buffer, and of the message there.
pub fn append_head(bytes: &mut Vec<u8>, (run, buffer, position): (u64, u64, u64)) -> io::Result<()> {
    write!(bytes, "event: message\nid: {run:x}-{buffer:x}-{position:x}\ndata: ")
}

/// Appends the next piece of a message event's data. All streams share the data, and none copies it as a whole. Returns
/// where the next piece begins, or `None` at the end.
///
/// # Errors
/// If the event has been discarded, as the client was too slow for it. What the client has of it is of no use.
pub fn append_data(event: &Handle, from: usize, bytes: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let event = event.get().ok_or(io::ErrorKind::TimedOut)?;
    let data = data(&event);
    let to = data.len().min(from + PIECE);
    bytes.extend_from_slice(&data[from..to]);
    Ok((to < data.len()).then_some(to))
}

/// Numbers and strings always have a JSON form, which is one line.
fn data(event: &BufferedMessage) -> &[u8] {
    event.form(|event| serde_json::to_vec(&EventJson::of(&event.message, event.time)).unwrap_or_default())
}

/// Appends the event for messages that this client missed.
pub fn append_missed(bytes: &mut Vec<u8>, missed: Missed) -> io::Result<()> {
    let count = match missed {
        Missed::Known(count) => count.to_string(),
        Missed::Unknown => "null".to_owned(),
    };
    write!(bytes, "event: lagged\ndata: {{\"missed\":{count}}}\n\n")
}

/// Appends the event for a filter that the broker refused. It is not called `error`, as clients would take that for a
/// fault of the HTTP connection.
pub fn append_refused(bytes: &mut Vec<u8>, refusal: Refusal) -> io::Result<()> {
    let reason_code = if let Refusal::Refused(code) = refusal { Some(code) } else { None };
    let data = json!({ "reason_code": reason_code, "error": refusal.to_string() });
    write!(bytes, "event: refused\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Received;

    #[test]
    fn an_event_is_three_lines_whatever_its_message_contains() {
        let message = Received { topic: b"a\n".to_vec(), payload: b"\r\n\ndata: x".to_vec(), ..Received::default() };
        let mut bytes = Vec::new();
        append_head(&mut bytes, (0x1f, 10, 16)).unwrap();
        bytes.extend_from_slice(data(&BufferedMessage::new(message.into())));
        bytes.extend_from_slice(END);
        append_missed(&mut bytes, Missed::Known(7)).unwrap();
        append_missed(&mut bytes, Missed::Unknown).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let start =
            "event: message\nid: 1f-a-10\ndata: {\"topic\":\"a\\n\",\"payload\":\"\\r\\n\\ndata: x\",\"qos\":0,";
        assert!(text.starts_with(start), "{text}");
        let end = "}\n\nevent: lagged\ndata: {\"missed\":7}\n\nevent: lagged\ndata: {\"missed\":null}\n\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(text.lines().count(), 4 + 3 + 3);
    }
}
