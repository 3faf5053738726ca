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
use crate::mqtt::session::requests::{Correlation, Number, OnResponse, Request};
use crate::mqtt::session::subscriptions::{Answer, Interest};

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

impl Subscriber {
    /// Publishes a message and awaits its response for at most `timeout`, on the given response topic or on a new one.
    /// In MQTT 3.1.1, which has no such property, the payload must say where the response is to go.
    pub fn request(
        &self,
        (mut message, share): (Message, Share),
        response: Option<TopicName>,
        timeout: Duration,
        on_response: OnResponse,
    ) {
        let nonce = self.nonce();
        let Some((topic, filter, correlation)) = self.response_topic(response, &nonce) else {
            return on_response(Err(NoAnswer::NotPossible));
        };
        let deadline = Instant::now() + timeout;
        let name = topic.as_str().to_owned();
        if self.0.protocol == Protocol::V5 {
            message.properties.response_topic = Some(topic);
            message.properties.correlation_data = Some(nonce);
        }
        let subscriber = self.clone();
        let wanted = filter.clone();
        let answered = move |answer: Answer| match answer {
            Ok(_) => {
                let request = Request { topic: name, filter, correlation, deadline, on_response, is_written: false };
                subscriber.publish_request(request, (message, share));
            }
            Err(refusal) => on_response(Err(refusal.into())),
        };
        self.with_state(|state| state.register(&wanted, Interest::Responses, timeout, Box::new(answered)));
    }

    /// The given response topic, or a new one, with the filter that it is subscribed to with.
    fn response_topic(&self, given: Option<TopicName>, nonce: &Bytes) -> Option<(TopicName, TopicFilter, Correlation)> {
        let (topic, filter, correlation) = if let Some(topic) = given {
            let filter = TopicFilter::try_from(topic.as_str().to_owned()).ok()?;
            (topic, filter, Correlation::SharedTopic(nonce.clone()))
        } else {
            let topic = format!("{}{}", self.0.response_base, String::from_utf8_lossy(nonce));
            let filter = self.0.response_filter.clone()?;
            (TopicName::try_from(topic).ok()?, filter, Correlation::OwnTopic(nonce.clone()))
        };
        Some((topic, filter, if self.0.protocol == Protocol::V5 { correlation } else { Correlation::None }))
    }

    /// 32 hexadecimal digits that nobody can guess.
    fn nonce(&self) -> Bytes {
        let half = || self.0.random.hash_one(self.0.count.fetch_add(1, Ordering::Relaxed));
        format!("{:016x}{:016x}", half(), half()).into()
    }

    /// Publishes a request whose response topic is subscribed to.
    fn publish_request(&self, request: Request, message: (Message, Share)) {
        let mut state = self.lock();
        let failure = match state.lifecycle {
            Lifecycle::Running if state.requests.len() >= self.0.max_requests => Some(NoAnswer::TooManyRequests),
            Lifecycle::Running => state.requests.is_taken(&request).then_some(NoAnswer::TopicTaken),
            _ => Some(NoAnswer::Publish(Failure::Stopping)),
        };
        if let Some(failure) = failure {
            drop(state);
            return self.end(request, Err(failure));
        }
        let left = request.deadline.saturating_duration_since(Instant::now());
        let number = state.requests.open(request);
        drop(state);
        let (subscriber, writing) = (self.clone(), self.clone());
        let published = move |outcome| subscriber.published(number, outcome);
        let written = move || writing.lock().requests.written(number);
        self.0.publisher.publish_and_report(message, left, Box::new(written), Box::new(published));
    }

    /// The outcome of a request's message. The response may have come before.
    fn published(&self, number: Number, outcome: Outcome) {
        let failure = match outcome {
            Err(failure) => NoAnswer::Publish(failure),
            Ok(Published::Acknowledged { reason_code: Some(NO_MATCHING_SUBSCRIBERS), .. }) => {
                NoAnswer::NobodySubscribes
            }
            Ok(_) => return self.with_state(|state| state.requests.published(number)),
        };
        let request = self.lock().requests.close(number);
        self.end_all(request, &failure);
    }

    /// A message on a response topic.
    pub(super) fn respond(&self, message: &Arc<Received>) {
        let request = self.lock().requests.respond(message);
        match request {
            Some(request) => self.end(request, Ok(message.clone())),
            None => metrics::METRICS.late_answers.inc(),
        }
    }

    /// Ends requests that get no response.
    pub(super) fn end_all(&self, requests: impl IntoIterator<Item = Request>, failure: &NoAnswer) {
        for request in requests {
            self.end(request, Err(failure.clone()));
        }
    }

    fn end(&self, request: Request, response: Result<Arc<Received>, NoAnswer>) {
        self.with_state(|state| state.table.leave(&request.filter, Interest::Responses, Instant::now()));
        (request.on_response)(response);
        self.0.changed.notify_all();
    }
}
