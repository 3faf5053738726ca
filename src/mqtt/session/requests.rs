//! Requests that await an answer on their response topic (MQTT 5, 4.10). Does no I/O.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use bytes::Bytes;

use crate::message::Received;

/// Names a request for as long as it waits.
pub type Number = u64;

/// By what an answer is told from others on the same topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// The topic is this request's alone: correlation data need not come back, but must not be another's.
    OwnTopic(Bytes),
    /// Others may use the topic.
    SharedTopic(Bytes),
    /// By nothing: the first message after the request is the answer, and there is one request at a time.
    Nothing,
}

struct Pending<R> {
    topic: String,
    token: Token,
    asker: R,
    deadline: Instant,
    /// It has left us: what came before is no answer.
    is_written: bool,
}

/// The table. `R` is who awaits an answer.
pub struct Requests<R> {
    pending: HashMap<Number, Pending<R>>,
    /// Those that have a topic for themselves.
    by_topic: HashMap<String, Number>,
    /// Those that share theirs with others.
    by_data: HashMap<Bytes, Number>,
    /// Of those that are published.
    deadlines: BTreeSet<(Instant, Number)>,
    next: Number,
}

impl<R> Requests<R> {
    pub fn new() -> Self {
        Self {
            pending: HashMap::new(),
            by_topic: HashMap::new(),
            by_data: HashMap::new(),
            deadlines: BTreeSet::new(),
            next: 0,
        }
    }

    /// Awaits an answer; the asker is given back if its answer could not be told from another's.
    pub fn open(&mut self, topic: &str, token: Token, deadline: Instant, asker: R) -> Result<Number, R> {
        let number = self.next;
        match &token {
            Token::SharedTopic(data) => drop(self.by_data.insert(data.clone(), number)),
            _ if self.by_topic.contains_key(topic) => return Err(asker),
            _ => drop(self.by_topic.insert(topic.to_owned(), number)),
        }
        self.next += 1;
        self.pending.insert(number, Pending { topic: topic.to_owned(), token, asker, deadline, is_written: false });
        Ok(number)
    }

    /// The request has left us: from now on there may be an answer.
    pub fn written(&mut self, number: Number) {
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.is_written = true;
        }
    }

    /// The request is with the broker: from now on its deadline counts.
    pub fn published(&mut self, number: Number) {
        self.written(number);
        if let Some(pending) = self.pending.get(&number) {
            self.deadlines.insert((pending.deadline, number));
        }
    }

    /// Whose answer this is, if it is one.
    pub fn answer(&mut self, message: &Received) -> Option<R> {
        let topic = std::str::from_utf8(&message.topic).ok()?;
        let by_data = message.properties.correlation_data.as_ref().and_then(|data| self.by_data.get(data));
        let number = *by_data.or_else(|| self.by_topic.get(topic))?;
        self.pending.get(&number).filter(|pending| pending.topic == topic && pending.is_meant(message))?;
        self.close(number)
    }

    /// Awaits no answer any more; `None` if that is so already.
    pub fn close(&mut self, number: Number) -> Option<R> {
        let pending = self.pending.remove(&number)?;
        self.deadlines.remove(&(pending.deadline, number));
        match &pending.token {
            Token::SharedTopic(data) => self.by_data.remove(data),
            _ => self.by_topic.remove(&pending.topic),
        };
        Some(pending.asker)
    }

    /// Those whose deadline has come.
    pub fn expire(&mut self, now: Instant) -> Vec<R> {
        let late = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        let late: Vec<Number> = late.map(|(_, number)| *number).collect();
        late.into_iter().filter_map(|number| self.close(number)).collect()
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many await an answer.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// All of them; none awaits an answer any more.
    pub fn take_all(&mut self) -> Vec<R> {
        let all: Vec<Number> = self.pending.keys().copied().collect();
        all.into_iter().filter_map(|number| self.close(number)).collect()
    }
}

impl<R> Pending<R> {
    /// Whether a message on its topic is its answer.
    fn is_meant(&self, message: &Received) -> bool {
        let returned = message.properties.correlation_data.as_ref();
        match &self.token {
            Token::OwnTopic(ours) => returned.is_none_or(|data| data == ours),
            Token::SharedTopic(ours) => returned == Some(ours),
            Token::Nothing => self.is_written,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(topic: &str, data: Option<&'static [u8]>) -> Received {
        let mut message = Received { topic: topic.as_bytes().to_vec(), ..Received::default() };
        message.properties.correlation_data = data.map(Bytes::from_static);
        message
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn an_answer_goes_to_whoever_asked() {
        let mut requests = Requests::new();
        let own = |data| Token::OwnTopic(Bytes::from_static(data));
        let shared = |data| Token::SharedTopic(Bytes::from_static(data));
        assert_eq!(requests.open("r/1", own(b"1"), later(), 1), Ok(0));
        assert_eq!(requests.open("r/2", own(b"2"), later(), 2), Ok(1));
        assert_eq!(requests.open("r", shared(b"3"), later(), 3), Ok(2));
        assert_eq!(requests.open("r", shared(b"4"), later(), 4), Ok(3));
        for (topic, data, asker) in [
            ("r/1", Some(b"2".as_slice()), None),
            ("r", None, None),
            ("r", Some(b"1"), None),
            ("other", Some(b"1"), None),
            ("r", Some(b"4"), Some(4)),
            ("r", Some(b"4"), None),
            ("r/1", Some(b"1"), Some(1)),
            ("r/2", None, Some(2)),
            ("r", Some(b"3"), Some(3)),
        ] {
            assert_eq!(requests.answer(&answer(topic, data)), asker, "{topic} {data:?}");
        }
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn where_nothing_tells_answers_apart_there_is_one_request_at_a_time() {
        let mut requests = Requests::new();
        assert_eq!(requests.open("r", Token::Nothing, later(), 1), Ok(0));
        assert_eq!(requests.open("r", Token::Nothing, later(), 2), Err(2));
        assert_eq!(requests.answer(&answer("r", None)), None, "it was not asked yet");
        requests.written(0);
        assert_eq!(requests.answer(&answer("r", None)), Some(1));
        assert_eq!(requests.open("r", Token::Nothing, later(), 2), Ok(1));
    }

    #[test]
    fn a_deadline_counts_from_the_publishing_on() {
        let mut requests = Requests::new();
        let now = Instant::now();
        let number = requests.open("r", Token::Nothing, now, 1).unwrap();
        assert_eq!((requests.next_deadline(), requests.expire(now)), (None, vec![]));
        requests.published(number);
        assert_eq!((requests.next_deadline(), requests.expire(now)), (Some(now), vec![1]));
        assert_eq!(requests.close(number), None);
    }
}
