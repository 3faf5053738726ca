//! Requests over MQTT: a message with a response topic, and the response that comes there (MQTT 5, 4.10).

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Subscriber;
use crate::config::Protocol;
use crate::memory::Share;
use crate::message::{Message, Received, TopicFilter, TopicName};
use crate::metrics;
use crate::mqtt::outcome::{Failure, NoAnswer, Outcome, Published};
use crate::mqtt::reason::NO_MATCHING_SUBSCRIBERS;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::mqtt::session::requests::{Correlation, Number};
use crate::mqtt::session::subscriptions::{Answer, Interest};

/// Gets the response to a request, once. Must not block.
pub type OnResponse = Box<dyn FnOnce(Result<Arc<Received>, NoAnswer>) + Send>;

/// A caller that awaits a response.
pub struct Requester {
    on_response: OnResponse,
    filter: TopicFilter,
}

/// A request before it is published.
struct Request {
    message: Message,
    /// The response topic.
    topic: String,
    filter: TopicFilter,
    correlation: Correlation,
    deadline: Instant,
}

/// What all response topics of a client begin with. Characters of its identifier that a topic name must not have are
/// replaced. Where only the broker knows the identifier, the instance id is used.
pub fn response_base(client_id: &str, instance_id: u64) -> String {
    if client_id.is_empty() {
        return format!("mqtt-bridge/response/{instance_id:016x}/");
    }
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '+' | '#');
    let name: String = client_id.chars().map(|c| if is_plain(c) { c } else { '_' }).take(256).collect();
    format!("mqtt-bridge/response/{name}/")
}

/// The filter for the responses to requests that do not name a response topic.
pub fn response_filter(base: &str) -> Option<TopicFilter> {
    TopicFilter::try_from(format!("{base}+")).ok()
}

/// Ends a request because the bridge is stopping.
pub fn end_at_stop(requester: Requester) {
    (requester.on_response)(Err(NoAnswer::Stopping));
}

impl Subscriber {
    /// Publishes a message and awaits its response for at most `timeout`, on the given response topic or on a new one.
    /// In MQTT 3.1.1, which has no such property, the payload must say where the response is to go.
    pub fn request(
        &self,
        (message, share): (Message, Share),
        response: Option<TopicName>,
        timeout: Duration,
        on_response: OnResponse,
    ) {
        let Some(request) = self.prepare(message, response, Instant::now() + timeout) else {
            return on_response(Err(NoAnswer::NotPossible));
        };
        let (subscriber, filter) = (self.clone(), request.filter.clone());
        let answered = move |answer: Answer| match answer {
            Ok(_) => subscriber.publish_request(request, share, on_response),
            Err(refusal) => on_response(Err(refusal.into())),
        };
        self.register(&filter, Interest::Responses, timeout, Box::new(answered));
    }

    fn prepare(&self, mut message: Message, response: Option<TopicName>, deadline: Instant) -> Option<Request> {
        let nonce = self.nonce();
        let (topic, filter, correlation) = if let Some(topic) = response {
            let filter = TopicFilter::try_from(topic.as_str().to_owned()).ok()?;
            (topic, filter, Correlation::SharedTopic(nonce.clone()))
        } else {
            let name = String::from_utf8_lossy(&nonce);
            let topic = TopicName::try_from(format!("{}{name}", self.0.response_base)).ok()?;
            let filter = response_filter(&self.0.response_base)?;
            (topic, filter, Correlation::OwnTopic(nonce.clone()))
        };
        let name = topic.as_str().to_owned();
        if self.0.protocol == Protocol::V311 {
            return Some(Request { message, topic: name, filter, correlation: Correlation::None, deadline });
        }
        message.properties.response_topic = Some(topic);
        message.properties.correlation_data = Some(nonce);
        Some(Request { message, topic: name, filter, correlation, deadline })
    }

    /// 32 hexadecimal digits that nobody can guess.
    fn nonce(&self) -> Bytes {
        let half = || self.0.random.hash_one(self.0.count.fetch_add(1, Ordering::Relaxed));
        format!("{:016x}{:016x}", half(), half()).into()
    }

    /// Publishes a request whose response topic is subscribed to.
    fn publish_request(&self, request: Request, share: Share, on_response: OnResponse) {
        let Request { message, topic, filter, correlation, deadline } = request;
        let mut state = self.lock();
        let requester = Requester { on_response, filter };
        let opened = match state.lifecycle {
            Lifecycle::Running if state.requests.len() < self.0.max_requests => {
                let opened = state.requests.open(&topic, correlation, deadline, requester);
                opened.map_err(|requester| (requester, NoAnswer::TopicTaken))
            }
            Lifecycle::Running => Err((requester, NoAnswer::TooManyRequests)),
            _ => Err((requester, NoAnswer::Publish(Failure::Stopping))),
        };
        drop(state);
        match opened {
            Err((requester, failure)) => self.end(requester, Err(failure)),
            Ok(number) => {
                let (subscriber, writing) = (self.clone(), self.clone());
                let left = deadline.saturating_duration_since(Instant::now());
                let published = move |outcome| subscriber.published(number, outcome);
                let written = move || writing.lock().requests.written(number);
                self.0.publisher.publish_and_report((message, share), left, Box::new(written), Box::new(published));
            }
        }
    }

    /// The outcome of a request's message. The response may have come before.
    fn published(&self, number: Number, outcome: Outcome) {
        let failure = match outcome {
            Err(failure) => Some(NoAnswer::Publish(failure)),
            Ok(Published::Acknowledged { reason_code: Some(NO_MATCHING_SUBSCRIBERS), .. }) => {
                Some(NoAnswer::NobodySubscribes)
            }
            Ok(_) => None,
        };
        let ended = self.with_state(|state| match failure {
            None => {
                state.requests.published(number);
                None
            }
            Some(failure) => state.requests.close(number).map(|requester| (requester, failure)),
        });
        if let Some((requester, failure)) = ended {
            self.end(requester, Err(failure));
        }
    }

    /// A message on a response topic.
    pub(super) fn respond(&self, message: &Arc<Received>) {
        let requester = self.lock().requests.respond(message);
        match requester {
            Some(requester) => self.end(requester, Ok(message.clone())),
            None => metrics::METRICS.late_answers.inc(),
        }
    }

    /// Ends requests whose deadline has come.
    pub(super) fn time_out(&self, requesters: Vec<Requester>) {
        for requester in requesters {
            self.end(requester, Err(NoAnswer::TimedOut));
        }
    }

    fn end(&self, requester: Requester, response: Result<Arc<Received>, NoAnswer>) {
        self.with_state(|state| state.table.leave(&requester.filter, Interest::Responses, Instant::now()));
        (requester.on_response)(response);
        self.0.changed.notify_all();
    }
}
