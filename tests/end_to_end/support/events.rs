//! A listener of `GET /messages`: it reads Server-Sent Events within deadlines, stands still, goes and comes back.

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

/// What a stream is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Event(Event),
    Comment,
    /// As the protocol has it.
    End,
    /// In the middle.
    Cut,
}

impl Listener {
    /// Listens to this topic filter, which must be granted.
    #[track_caller]
    pub fn open(daemon: &Daemon, filter: &str) -> Self {
        Self::ask(daemon, &target(filter), &[]).unwrap_or_else(|refusal| panic!("{filter}: {refusal:?}"))
    }

    /// The same after the last message that the one before saw.
    #[track_caller]
    pub fn resume(daemon: &Daemon, filter: &str, last_id: &str) -> Self {
        let listener = Self::ask(daemon, &target(filter), &[("Last-Event-ID", last_id)]);
        listener.unwrap_or_else(|refusal| panic!("{filter} after {last_id}: {refusal:?}"))
    }

    /// One whose system takes only a few bytes that it does not read.
    #[track_caller]
    pub fn with_small_buffer(daemon: &Daemon, filter: &str) -> Self {
        let connection = Connection::with_receive_buffer(daemon.address(), 4096);
        let listener = Self::on(connection, &head("GET", &target(filter), "1.1", &[]));
        listener.unwrap_or_else(|refusal| panic!("{filter}: {refusal:?}"))
    }

    /// Listens to what this path and its parameters say, or is refused.
    pub fn ask(daemon: &Daemon, target: &str, headers: &[(&str, &str)]) -> Result<Self, Reply> {
        Self::on(daemon.connect(), &head("GET", target, "1.1", headers))
    }

    /// The same by a request of the test's own.
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

    /// The identifier of the last event that was read and had one.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How soon a browser comes back, in milliseconds; every stream begins with it.
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

    /// The next of all, if it comes in time.
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

    /// The next event, if it comes in time.
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

    /// How many messages the next event says are missing.
    #[track_caller]
    pub fn lagged(&mut self) -> Option<u64> {
        let event = self.event();
        assert_eq!(event.name, "lagged", "{event:?}");
        let missed = event.data.get("missed").unwrap_or_else(|| panic!("{event:?}"));
        assert!(missed.is_null() || missed.is_u64(), "{event:?}");
        missed.as_u64()
    }

    /// The payloads of the messages before the one with this payload; nothing else may come.
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

    /// The stream ends as the protocol has it, and nothing comes before that.
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
        // the system takes no shorter one
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
        assert!(!line.ends_with('\r'), "one kind of line ends is enough: {line:?}");
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "" if line.is_empty() => {
                let event = std::mem::take(&mut self.event);
                // a blank line may stand behind a comment too
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

/// The body of an answer, whatever pieces it comes in.
#[derive(Debug, Default)]
struct Body {
    chunked: bool,
    /// What came and is not the whole of a chunk.
    raw: Vec<u8>,
    /// What is decoded, and not the whole of a line.
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

/// The first chunk, and how many bytes it takes with its frame, when it is there.
fn first_chunk(raw: &[u8]) -> Option<(&[u8], usize)> {
    let line = raw.windows(2).position(|bytes| bytes == b"\r\n")?;
    let size = std::str::from_utf8(&raw[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.unwrap_or_else(|| panic!("no size of a chunk: {:?}", String::from_utf8_lossy(&raw[..line])));
    let (start, end) = (line + 2, line + 2 + size);
    let frame = raw.get(end..end + 2)?;
    assert_eq!(frame, b"\r\n", "the end of a chunk");
    Some((&raw[start..end], end + 2))
}

/// The path and the parameter for a topic filter.
pub fn target(filter: &str) -> String {
    let encoded = filter.bytes().map(|byte| match byte {
        b'/' | b'+' | b'$' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("/messages?topic={}", encoded.collect::<String>())
}
