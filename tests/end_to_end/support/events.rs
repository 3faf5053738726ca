//! A listener of `GET /messages` that reads Server-Sent Events with deadlines.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::daemon::Daemon;
use super::http::{Connection, Reply};
use super::request::head;

#[derive(Debug)]
pub struct Listener {
    pub head: Reply,
    connection: Connection,
    body: Body,
    event: Event,
    items: VecDeque<Item>,
    last_id: String,
    retry: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

/// An element of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Event(Event),
    Comment,
    /// The proper end of the body.
    End,
    /// The connection ended in the middle of the body.
    Cut,
}

impl Listener {
    /// Listens to this topic filter, which must be granted.
    #[track_caller]
    pub fn open(daemon: &Daemon, filter: &str) -> Self {
        Self::ask(daemon, &target(filter), &[]).unwrap_or_else(|refusal| panic!("{filter}: {refusal:?}"))
    }

    /// The same, from the event after `last_id` on.
    #[track_caller]
    pub fn resume(daemon: &Daemon, filter: &str, last_id: &str) -> Self {
        let listener = Self::ask(daemon, &target(filter), &[("Last-Event-ID", last_id)]);
        listener.unwrap_or_else(|refusal| panic!("{filter} after {last_id}: {refusal:?}"))
    }

    /// A listener with a small receive buffer, which soon blocks the daemon's writes if it does not read.
    #[track_caller]
    pub fn with_small_buffer(daemon: &Daemon, filter: &str) -> Self {
        let connection = Connection::with_receive_buffer(daemon.address(), 4096);
        let listener = Self::on(connection, &head("GET", &target(filter), "1.1", &[]));
        listener.unwrap_or_else(|refusal| panic!("{filter}: {refusal:?}"))
    }

    /// Requests a stream; a refusal is returned.
    pub fn ask(daemon: &Daemon, target: &str, headers: &[(&str, &str)]) -> Result<Self, Reply> {
        Self::on(daemon.connect(), &head("GET", target, "1.1", headers))
    }

    /// The same with a request head of the test.
    pub fn on(mut connection: Connection, head: &str) -> Result<Self, Reply> {
        connection.send(head.as_bytes());
        let mut head = connection.reply_to_head();
        if head.status != 200 {
            head.body = vec![0; head.header("content-length").unwrap_or("0").parse().unwrap()];
            connection.read_exact(&mut head.body).unwrap();
            return Err(head);
        }
        let chunked = head.header("transfer-encoding") == Some("chunked");
        let body = Body { chunked, ..Body::default() };
        let (event, items) = (Event::default(), VecDeque::new());
        Ok(Self { head, connection, body, event, items, last_id: String::new(), retry: None })
    }

    /// The identifier of the last event that had one.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The `retry` field in milliseconds, which every stream begins with.
    #[track_caller]
    pub fn retry(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        while self.retry.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no `retry`");
            self.read(left);
        }
        self.retry.unwrap()
    }

    /// The next element, if it arrives in time.
    pub fn item_within(&mut self, patience: Duration) -> Option<Item> {
        let deadline = Instant::now() + patience;
        while self.items.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.read(left);
        }
        let item = self.items.pop_front();
        if let Some(Item::Event(Event { id: Some(id), .. })) = &item {
            self.last_id.clone_from(id);
        }
        item
    }

    /// The next event, if it arrives in time.
    pub fn event_within(&mut self, patience: Duration) -> Option<Event> {
        let deadline = Instant::now() + patience;
        loop {
            match self.item_within(deadline.saturating_duration_since(Instant::now()))? {
                Item::Event(event) => return Some(event),
                Item::Comment => {}
                end => panic!("instead of an event: {end:?}"),
            }
        }
    }

    #[track_caller]
    pub fn event(&mut self) -> Event {
        self.event_within(PATIENCE).expect("an event")
    }

    /// The data of the next event, which must be a message.
    #[track_caller]
    pub fn message(&mut self) -> Value {
        let event = self.event();
        assert_eq!(event.name, "message", "{event:?}");
        assert!(event.id.is_some(), "{event:?}");
        event.data
    }

    /// The number of missed messages in the next event, which must be `lagged`.
    #[track_caller]
    pub fn lagged(&mut self) -> Option<u64> {
        let event = self.event();
        assert_eq!(event.name, "lagged", "{event:?}");
        let missed = event.data.get("missed").unwrap_or_else(|| panic!("{event:?}"));
        assert!(missed.is_null() || missed.is_u64(), "{event:?}");
        missed.as_u64()
    }

    /// The payloads of the messages before the one with this payload; other events fail the test.
    #[track_caller]
    pub fn payloads_until(&mut self, last: &str) -> Vec<String> {
        let mut payloads = Vec::new();
        loop {
            let message = self.message();
            let payload = message["payload"].as_str().unwrap_or_else(|| panic!("{message}"));
            if payload == last {
                return payloads;
            }
            payloads.push(payload.to_owned());
        }
    }

    /// The stream ends properly, and nothing precedes its end.
    #[track_caller]
    pub fn assert_ended(&mut self) {
        let item = loop {
            match self.item_within(PATIENCE) {
                Some(Item::Comment) => {}
                other => break other,
            }
        };
        assert_eq!(item, Some(Item::End));
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn read(&mut self, patience: Duration) {
        let mut buffer = [0; 16_000];
        // a timeout of zero is invalid
        self.connection.set_patience(patience.max(Duration::from_millis(1)));
        match self.connection.read(&mut buffer) {
            Ok(0) => self.items.push_back(if self.body.chunked { Item::Cut } else { Item::End }),
            Ok(length) => self.take(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.items.push_back(Item::Cut),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.body.take(bytes);
        let text = std::mem::take(&mut self.body.text);
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next_if(|line| line.ends_with(b"\n")) {
            self.take_line(std::str::from_utf8(&line[..line.len() - 1]).expect("an event stream is UTF-8"));
        }
        self.body.text = lines.next().unwrap_or_default().to_vec();
        if self.body.ended {
            self.items.push_back(Item::End);
        }
    }

    fn take_line(&mut self, line: &str) {
        assert!(!line.ends_with('\r'), "a line must end with LF: {line:?}");
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "" if line.is_empty() => {
                let event = std::mem::take(&mut self.event);
                // a comment may end with a blank line too
                if event != Event::default() {
                    self.items.push_back(Item::Event(event));
                }
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => self.event.data = serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {line}")),
            "retry" => self.retry = Some(value.parse().unwrap_or_else(|error| panic!("{error}: {line}"))),
            _ if line.starts_with(':') => self.items.push_back(Item::Comment),
            _ => panic!("unknown line {line:?}"),
        }
    }
}

/// The body of a response, with or without chunks.
#[derive(Debug, Default)]
struct Body {
    chunked: bool,
    /// Received bytes that are not yet a whole chunk.
    raw: Vec<u8>,
    /// Decoded bytes that are not yet a whole line.
    text: Vec<u8>,
    ended: bool,
}

impl Body {
    fn take(&mut self, bytes: &[u8]) {
        if !self.chunked {
            return self.text.extend_from_slice(bytes);
        }
        self.raw.extend_from_slice(bytes);
        let mut taken = 0;
        while let Some((chunk, length)) = first_chunk(&self.raw[taken..]) {
            self.text.extend_from_slice(chunk);
            self.ended |= chunk.is_empty();
            taken += length;
        }
        self.raw.drain(..taken);
    }
}

/// The first chunk if it is complete, and its length with framing.
fn first_chunk(raw: &[u8]) -> Option<(&[u8], usize)> {
    let line = raw.windows(2).position(|bytes| bytes == b"\r\n")?;
    let size = std::str::from_utf8(&raw[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.unwrap_or_else(|| panic!("no size of a chunk: {:?}", String::from_utf8_lossy(&raw[..line])));
    let (start, end) = (line + 2, line + 2 + size);
    let frame = raw.get(end..end + 2)?;
    assert_eq!(frame, b"\r\n", "the end of a chunk");
    Some((&raw[start..end], end + 2))
}

/// The target for a topic filter.
pub fn target(filter: &str) -> String {
    let encoded = filter.bytes().map(|byte| match byte {
        b'/' | b'+' | b'$' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("/messages?topic={}", encoded.collect::<String>())
}
