//! Requests that await a response on their response topic (MQTT 5, 4.10).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::message::{Received, TopicFilter};
use crate::mqtt::outcome::NoAnswer;

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

/// Called with the response to a request, once. Must not block.
pub type OnResponse = Box<dyn FnOnce(Result<Arc<Received>, NoAnswer>) + Send>;

/// A request that awaits its response.
pub struct Request {
    /// The response topic, and the filter that it is subscribed to with.
    pub topic: String,
    pub filter: TopicFilter,
    pub correlation: Correlation,
    pub deadline: Instant,
    pub on_response: OnResponse,
    /// It was sent: what came before is no response.
    pub is_written: bool,
}

/// The table.
#[derive(Default)]
pub struct Requests {
    pending: HashMap<Number, Request>,
    /// Those that use their topic alone.
    by_topic: HashMap<String, Number>,
    /// Those that share their topic with others.
    by_data: HashMap<Bytes, Number>,
    /// Of those that were published.
    deadlines: BTreeSet<(Instant, Number)>,
    next: Number,
}

impl Requests {
    /// Whether another request has the topic of this one for itself: their responses could not be told apart.
    pub fn is_taken(&self, request: &Request) -> bool {
        !matches!(request.correlation, Correlation::SharedTopic(_)) && self.by_topic.contains_key(&request.topic)
    }

    /// Awaits a response.
    pub fn open(&mut self, request: Request) -> Number {
        let number = self.next;
        self.next += 1;
        match &request.correlation {
            Correlation::SharedTopic(data) => self.by_data.insert(data.clone(), number),
            _ => self.by_topic.insert(request.topic.clone(), number),
        };
        self.pending.insert(number, request);
        number
    }

    /// The request was sent: from now on a response may come.
    pub fn written(&mut self, number: Number) {
        if let Some(request) = self.pending.get_mut(&number) {
            request.is_written = true;
        }
    }

    /// The broker has the request: from now on its deadline counts.
    pub fn published(&mut self, number: Number) {
        if let Some(request) = self.pending.get_mut(&number) {
            request.is_written = true;
            self.deadlines.insert((request.deadline, number));
        }
    }

    /// The request whose response this is, if it is one. It awaits nothing more.
    pub fn respond(&mut self, message: &Received) -> Option<Request> {
        let topic = std::str::from_utf8(&message.topic).ok()?;
        let by_data = message.properties.correlation_data.as_ref().and_then(|data| self.by_data.get(data));
        let number = *by_data.or_else(|| self.by_topic.get(topic))?;
        self.pending.get(&number).filter(|request| request.topic == topic && request.is_meant(message))?;
        self.close(number)
    }

    /// Stops waiting; `None` if the request does not wait any more.
    pub fn close(&mut self, number: Number) -> Option<Request> {
        let request = self.pending.remove(&number)?;
        self.deadlines.remove(&(request.deadline, number));
        match &request.correlation {
            Correlation::SharedTopic(data) => self.by_data.remove(data),
            _ => self.by_topic.remove(&request.topic),
        };
        Some(request)
    }

    /// Requests whose deadline has come.
    pub fn expire(&mut self, now: Instant) -> Vec<Request> {
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
    pub fn take_all(&mut self) -> Vec<Request> {
        std::mem::take(self).pending.into_values().collect()
    }
}

impl Request {
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
mod tests;
