//! Requests that await a response on their response topic (MQTT 5, 4.10).

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use bytes::Bytes;

use crate::message::Received;

/// Identifies a request while it waits.
pub type Number = u64;

/// How the response to a request is recognized among others on its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correlation {
    /// Only this request uses the topic. The correlation data may be missing in the response, but must not be
    /// another's.
    OwnTopic(Bytes),
    /// Others may use the topic: the correlation data must come back.
    SharedTopic(Bytes),
    /// The first message after the request is the response, and there is one request at a time.
    None,
}

struct Pending<R> {
    topic: String,
    correlation: Correlation,
    requester: R,
    deadline: Instant,
    /// It was sent: what came before is no response.
    is_written: bool,
}

/// The table. `R` is a requester.
pub struct Requests<R> {
    pending: HashMap<Number, Pending<R>>,
    /// Those that use their topic alone.
    by_topic: HashMap<String, Number>,
    /// Those that share their topic with others.
    by_data: HashMap<Bytes, Number>,
    /// Of those that were published.
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

    /// Awaits a response. Returns the requester if its response could not be recognized.
    pub fn open(
        &mut self,
        topic: &str,
        correlation: Correlation,
        deadline: Instant,
        requester: R,
    ) -> Result<Number, R> {
        let number = self.next;
        match &correlation {
            Correlation::SharedTopic(data) => drop(self.by_data.insert(data.clone(), number)),
            _ if self.by_topic.contains_key(topic) => return Err(requester),
            _ => drop(self.by_topic.insert(topic.to_owned(), number)),
        }
        self.next += 1;
        self.pending
            .insert(number, Pending { topic: topic.to_owned(), correlation, requester, deadline, is_written: false });
        Ok(number)
    }

    /// The request was sent: from now on a response may come.
    pub fn written(&mut self, number: Number) {
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.is_written = true;
        }
    }

    /// The broker has the request: from now on its deadline counts.
    pub fn published(&mut self, number: Number) {
        self.written(number);
        if let Some(pending) = self.pending.get(&number) {
            self.deadlines.insert((pending.deadline, number));
        }
    }

    /// The requester whose response this is, if it is one. It awaits nothing more.
    pub fn respond(&mut self, message: &Received) -> Option<R> {
        let topic = std::str::from_utf8(&message.topic).ok()?;
        let by_data = message.properties.correlation_data.as_ref().and_then(|data| self.by_data.get(data));
        let number = *by_data.or_else(|| self.by_topic.get(topic))?;
        self.pending.get(&number).filter(|pending| pending.topic == topic && pending.is_meant(message))?;
        self.close(number)
    }

    /// Stops waiting; `None` if the request does not wait any more.
    pub fn close(&mut self, number: Number) -> Option<R> {
        let pending = self.pending.remove(&number)?;
        self.deadlines.remove(&(pending.deadline, number));
        match &pending.correlation {
            Correlation::SharedTopic(data) => self.by_data.remove(data),
            _ => self.by_topic.remove(&pending.topic),
        };
        Some(pending.requester)
    }

    /// Requesters whose deadline has come.
    pub fn expire(&mut self, now: Instant) -> Vec<R> {
        let late = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        let late: Vec<Number> = late.map(|(_, number)| *number).collect();
        late.into_iter().filter_map(|number| self.close(number)).collect()
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Stops waiting for all.
    pub fn take_all(&mut self) -> Vec<R> {
        let all: Vec<Number> = self.pending.keys().copied().collect();
        all.into_iter().filter_map(|number| self.close(number)).collect()
    }
}

impl<R> Pending<R> {
    /// Whether a message on its topic is its response.
    fn is_meant(&self, message: &Received) -> bool {
        let returned = message.properties.correlation_data.as_ref();
        match &self.correlation {
            Correlation::OwnTopic(ours) => returned.is_none_or(|data| data == ours),
            Correlation::SharedTopic(ours) => returned == Some(ours),
            Correlation::None => self.is_written,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn response(topic: &str, data: Option<&'static [u8]>) -> Received {
        let mut message = Received { topic: topic.as_bytes().to_vec(), ..Received::default() };
        message.properties.correlation_data = data.map(Bytes::from_static);
        message
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_response_goes_to_its_requester() {
        let mut requests = Requests::new();
        let own = |data| Correlation::OwnTopic(Bytes::from_static(data));
        let shared = |data| Correlation::SharedTopic(Bytes::from_static(data));
        assert_eq!(requests.open("r/1", own(b"1"), later(), 1), Ok(0));
        assert_eq!(requests.open("r/2", own(b"2"), later(), 2), Ok(1));
        assert_eq!(requests.open("r", shared(b"3"), later(), 3), Ok(2));
        assert_eq!(requests.open("r", shared(b"4"), later(), 4), Ok(3));
        for (topic, data, requester) in [
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
            assert_eq!(requests.respond(&response(topic, data)), requester, "{topic} {data:?}");
        }
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn without_correlation_a_topic_has_one_request_at_a_time() {
        let mut requests = Requests::new();
        assert_eq!(requests.open("r", Correlation::None, later(), 1), Ok(0));
        assert_eq!(requests.open("r", Correlation::None, later(), 2), Err(2));
        assert_eq!(requests.respond(&response("r", None)), None, "the request was not sent yet");
        requests.written(0);
        assert_eq!(requests.respond(&response("r", None)), Some(1));
        assert_eq!(requests.open("r", Correlation::None, later(), 2), Ok(1));
    }

    #[test]
    fn a_deadline_counts_from_the_publish_on() {
        let mut requests = Requests::new();
        let now = Instant::now();
        let number = requests.open("r", Correlation::None, now, 1).unwrap();
        assert_eq!((requests.next_deadline(), requests.expire(now)), (None, vec![]));
        requests.published(number);
        assert_eq!((requests.next_deadline(), requests.expire(now)), (Some(now), vec![1]));
        assert_eq!(requests.close(number), None);
    }
}
