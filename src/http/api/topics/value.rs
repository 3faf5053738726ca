//! `GET /topics/{topic}`: the retained message of a topic, or the next message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::parameters::{Reading, parse_reading};
use crate::http::access::ReaderKind;
use crate::http::api::call::{Call, Handled};
use crate::http::input::query::Parameters;
use crate::http::reply::{Reply, in_field};
use crate::http::server::Head;
use crate::message::TopicFilter;
use crate::message::json::EventJson;
use crate::mqtt::{BufferedMessage, Handle, Listener, Refusal, Start};

/// How often the connection is checked for a client that may be gone.
const CHECK_PAUSE: Duration = Duration::from_millis(500);

/// Replies with the message of the topic of this name when the broker has sent it.
pub fn read(call: &mut Call, name: Result<String, String>, parameters: Parameters) -> Result<Handled, Reply> {
    let reading = parse_reading(parameters, call.context.max_timeout).map_err(Reply::invalid)?;
    let filter = in_field("topic", name.and_then(topic_name)).map_err(Reply::invalid)?;
    call.principal.may_read(&filter)?;
    call.require_no_body("a request that reads messages")?;
    let as_json = accepts_json(call.head()?);
    let reader = call.principal.quota().map(|quota| quota.read(&filter, ReaderKind::Stream)).transpose()?;
    let (subscriber, retained_wait) = (call.context.subscriber.clone(), call.context.retained_wait);
    let Reading { qos, wait, timeout } = reading;
    let timeout = timeout.unwrap_or(call.context.timeout);
    Ok(Handled::later(move |responder| {
        let deadline = Instant::now() + timeout;
        let opened = move |opened| match opened {
            Ok(listener) => responder.reply_after(move |exchange| {
                let mut search = Search::new(listener, retained_wait, wait, deadline);
                let found = search.run(|| exchange.is_at_end());
                // frees the reader's place before the reply
                drop((search, reader));
                match found {
                    // the document is a copy of the message, and twice as long in base64 at most
                    Ok(Found::Message(message)) => match exchange.make_room(4 * message.message.payload.len()) {
                        Ok(()) => reply(&message, as_json),
                        Err(full) => Reply::from(full),
                    },
                    Ok(Found::Nothing) if wait.is_some() => Reply::no_message(),
                    Ok(Found::Nothing) => Reply::nothing_retained(retained_wait),
                    Ok(Found::Lost) => Reply::message_without_room(),
                    Err(refusal) => Reply::from(refusal),
                }
            }),
            Err(refusal) => responder.reply(Reply::from(refusal)),
        };
        subscriber.listen(&filter, qos, Start::Fetch, timeout, Box::new(opened));
    }))
}

fn reply(message: &BufferedMessage, as_json: bool) -> Reply {
    if as_json {
        Reply::json(&EventJson::of(&message.message, message.time)).not_stored()
    } else {
        Reply::payload(&message.message)
    }
}

/// The filter that matches this topic name alone. Unlike a name that one publishes to, it may begin with `$`.
fn topic_name(name: String) -> Result<TopicFilter, String> {
    if let Some(wildcard) = name.chars().find(|c| matches!(c, '+' | '#')) {
        return Err(format!("must not contain the wildcard `{wildcard}`: `GET /messages` takes a topic filter"));
    }
    let filter = TopicFilter::try_from(name).map_err(|error| error.to_string())?;
    if filter.is_shared() {
        return Err("must not be a shared subscription".to_owned());
    }
    Ok(filter)
}

/// Whether JSON is in `Accept`, by its name (RFC 9110, 12.5.1). The list may be in several lines (5.3).
fn accepts_json(head: Head) -> bool {
    let lines = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case("Accept")).map(|(_, value)| value);
    let ranges = lines.flat_map(|line| line.split(','));
    ranges.map(|range| range.trim().to_ascii_lowercase().replace(' ', "")).any(|range| {
        let (essence, parameters) = range.split_once(';').unwrap_or((&range, ""));
        let weight = parameters.split(';').find_map(|parameter| parameter.strip_prefix("q="));
        essence == "application/json" && weight.is_none_or(|weight| weight.parse() != Ok(0.0))
    })
}

/// What came for a reader.
enum Found {
    Message(Arc<BufferedMessage>),
    Nothing,
    /// Perhaps a message, but there was not enough memory for all that came.
    Lost,
}

/// A reader that waits for one message.
struct Search {
    listener: Listener,
    /// How long after the broker's answer to the SUBSCRIBE a retained message may come.
    retained_wait: Duration,
    /// When a retained message would have come.
    retained_end: Instant,
    /// From this time on a client that has ended its direction counts as gone. Until then it still gets a reply.
    leaving_begins: Instant,
    /// The connection on which the SUBSCRIBE was answered.
    connection: Option<u64>,
    /// No message is retained.
    is_certain: bool,
    /// Until when to wait for the next message, with `wait`.
    next_end: Option<Instant>,
    /// The next message, which counts if none is retained.
    next: Option<Handle>,
    /// A message was dropped before it could be read.
    is_lost: bool,
    /// When to give up while there is no connection.
    deadline: Instant,
}

impl Search {
    /// For a filter that the broker has just granted.
    fn new(listener: Listener, retained_wait: Duration, wait: Option<Duration>, deadline: Instant) -> Self {
        let connection = listener.connection();
        let now = Instant::now();
        let (retained_end, next_end) = (now + retained_wait, wait.map(|wait| now + wait));
        Self {
            listener,
            retained_wait,
            retained_end,
            leaving_begins: retained_end,
            connection,
            is_certain: false,
            next_end,
            next: None,
            is_lost: false,
            deadline,
        }
    }

    /// Waits for the retained message, or else for the next one. Ends early if the client `is_gone`.
    fn run(&mut self, is_gone: impl Fn() -> bool) -> Result<Found, Refusal> {
        loop {
            let now = Instant::now();
            self.is_certain = self.is_certain || (now >= self.retained_end && self.become_certain(now)?);
            if let Some(found) = self.is_certain.then(|| self.end(now)).flatten() {
                return Ok(found);
            }
            let end = if self.is_certain { self.next_end } else { Some(self.retained_end) };
            let batch = self.listener.read(end.unwrap_or(now).min(now + CHECK_PAUSE));
            self.is_lost |= batch.lagged;
            let is_quiet = batch.messages.is_empty();
            for (_, handle) in batch.messages {
                let Some(message) = handle.get() else {
                    self.is_lost = true;
                    continue;
                };
                if message.message.retain {
                    return Ok(Found::Message(message));
                }
                if self.next_end.is_some() && self.next.is_none() {
                    self.next = Some(handle);
                }
            }
            if let Some(refusal) = batch.refused.or(batch.ended.then_some(Refusal::Stopping)) {
                return Err(refusal);
            }
            if is_quiet && now >= self.leaving_begins && is_gone() {
                return if self.is_certain { Ok(Found::Nothing) } else { Err(Refusal::NotConnected) };
            }
        }
    }

    /// What was found, when no message is retained; `None` to wait on.
    fn end(&mut self, now: Instant) -> Option<Found> {
        if let Some(next) = self.next.take() {
            return Some(next.get().map_or(Found::Lost, Found::Message));
        }
        let is_over = self.is_lost || self.next_end.is_none_or(|end| end <= now);
        is_over.then_some(if self.is_lost { Found::Lost } else { Found::Nothing })
    }

    /// Whether a retained message would have come by now: not if the connection was lost since the broker's answer.
    fn become_certain(&mut self, now: Instant) -> Result<bool, Refusal> {
        let connection = self.listener.connection();
        if connection.is_some() && connection == self.connection {
            return Ok(true);
        }
        if now >= self.deadline && self.next_end.is_none_or(|end| end <= now) {
            return Err(Refusal::NotConnected);
        }
        self.connection = connection;
        self.retained_end = now + if connection.is_some() { self.retained_wait } else { CHECK_PAUSE };
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    #[test]
    fn json_is_asked_for_by_its_name() {
        let accepts = |accept: &str| accepts_json(TestHead::post(&[("Accept", accept)]).head());
        for accept in ["application/json", "text/html, Application/JSON;q=0.5", "application/json ; q=1, */*"] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/*", "text/html", "application/json;q=0", "application/json; q=0.000"] {
            assert!(!accepts(accept), "{accept}");
        }
        assert!(!accepts_json(TestHead::post(&[]).head()));
        assert!(accepts_json(TestHead::post(&[("Accept", "text/plain"), ("Accept", "application/json")]).head()));
    }

    #[test]
    fn a_topic_name_may_begin_with_a_dollar_sign_and_has_no_wildcards() {
        let name = |text: &str| topic_name(text.to_owned()).map(|filter| filter.as_str().to_owned());
        for text in ["a/b", "$SYS/broker/uptime", "/", "a b"] {
            assert_eq!(name(text), Ok(text.to_owned()));
        }
        let wildcard = |c| format!("must not contain the wildcard `{c}`: `GET /messages` takes a topic filter");
        for (text, error) in [
            ("a/+", wildcard('+')),
            ("#", wildcard('#')),
            ("a+b", wildcard('+')),
            ("", "must not be empty".to_owned()),
            ("$share/g/a", "must not be a shared subscription".to_owned()),
        ] {
            assert_eq!(name(text), Err(error), "{text}");
        }
    }
}
