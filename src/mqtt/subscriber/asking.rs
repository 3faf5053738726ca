//! Requests over MQTT: a message with a response topic, and the answer that comes there (MQTT 5, 4.10).

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Stage, Subscriber, Want};
use crate::memory::Share;
use crate::message::{Message, Received, TopicFilter, TopicName};
use crate::metrics;
use crate::mqtt::outcome::{Failure, NoAnswer, Outcome, Published};
use crate::mqtt::reason::NO_MATCHING_SUBSCRIBERS;
use crate::mqtt::session::requests::{Number, Token};

/// Is told, once, what came of a request. Must not wait.
pub type Answered = Box<dyn FnOnce(Result<Arc<Received>, NoAnswer>) + Send>;

/// Who awaits an answer.
pub struct Asker {
    answered: Answered,
    filter: TopicFilter,
}

/// A request on its way to be published.
struct Question {
    message: Message,
    /// Where the answer is expected.
    topic: String,
    filter: TopicFilter,
    token: Token,
    deadline: Instant,
}

/// What all response topics of a client begin with. Its name may hold what no topic name may; where only the broker knows
/// it, the number of this run stands for it.
pub fn response_base(client_id: &str, run: u64) -> String {
    if client_id.is_empty() {
        return format!("mqtt-bridge/response/{run:016x}/");
    }
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '+' | '#');
    let name: String = client_id.chars().map(|c| if is_plain(c) { c } else { '_' }).take(256).collect();
    format!("mqtt-bridge/response/{name}/")
}

/// What all answers to requests without a response topic of their own come by.
pub fn response_filter(base: &str) -> Option<TopicFilter> {
    TopicFilter::try_from(format!("{base}+")).ok()
}

/// There is no more time for an answer.
pub fn tell_stopping(asker: Asker) {
    (asker.answered)(Err(NoAnswer::Stopping));
}

impl Subscriber {
    /// Publishes a message and awaits its answer for as long as `timeout`, on the given response topic or on one of our
    /// own. MQTT 3.1.1 knows neither; there the message must tell by itself where it is to be answered.
    pub fn request(
        &self,
        (message, share): (Message, Share),
        response: Option<TopicName>,
        timeout: Duration,
        answered: Answered,
    ) {
        let Some(question) = self.question(message, response, Instant::now() + timeout) else {
            return answered(Err(NoAnswer::NotPossible));
        };
        let (subscriber, filter) = (self.clone(), question.filter.clone());
        let told = move |answer: super::Answer| match answer {
            Ok(_) => subscriber.ask(question, share, answered),
            Err(refusal) => answered(Err(refusal.into())),
        };
        self.want(&filter, Want::Answers, timeout, Box::new(told));
    }

    fn question(&self, mut message: Message, response: Option<TopicName>, deadline: Instant) -> Option<Question> {
        let chance = self.chance();
        let (topic, filter, token) = if let Some(topic) = response {
            let filter = TopicFilter::try_from(topic.as_str().to_owned()).ok()?;
            (topic, filter, Token::SharedTopic(chance.clone()))
        } else {
            let name = String::from_utf8_lossy(&chance);
            let topic = TopicName::try_from(format!("{}{name}", self.0.response_base)).ok()?;
            let filter = response_filter(&self.0.response_base)?;
            (topic, filter, Token::OwnTopic(chance.clone()))
        };
        let name = topic.as_str().to_owned();
        if !self.0.version.has_properties() {
            return Some(Question { message, topic: name, filter, token: Token::Nothing, deadline });
        }
        message.properties.response_topic = Some(topic);
        message.properties.correlation_data = Some(chance);
        Some(Question { message, topic: name, filter, token, deadline })
    }

    /// 32 hexadecimal digits that nobody can guess.
    fn chance(&self) -> Bytes {
        let half = || self.0.random.hash_one(self.0.count.fetch_add(1, Ordering::Relaxed));
        format!("{:016x}{:016x}", half(), half()).into()
    }

    /// Publishes a request whose response topic is subscribed to.
    fn ask(&self, question: Question, share: Share, answered: Answered) {
        let Question { message, topic, filter, token, deadline } = question;
        let mut state = self.lock();
        let asker = Asker { answered, filter };
        let opened = match state.stage {
            Stage::Running if state.requests.len() < self.0.max_requests => {
                state.requests.open(&topic, token, deadline, asker).map_err(|asker| (asker, NoAnswer::TopicTaken))
            }
            Stage::Running => Err((asker, NoAnswer::TooManyRequests)),
            _ => Err((asker, NoAnswer::Publish(Failure::Stopping))),
        };
        drop(state);
        match opened {
            Err((asker, failure)) => self.end(asker, Err(failure)),
            Ok(number) => {
                let (subscriber, writing) = (self.clone(), self.clone());
                let left = deadline.saturating_duration_since(Instant::now());
                let published = move |outcome| subscriber.published(number, outcome);
                let written = move || writing.lock().requests.written(number);
                self.0.publisher.publish_and_tell((message, share), left, Some(Box::new(written)), Box::new(published));
            }
        }
    }

    /// What became of a request's message. Its answer may have come before.
    fn published(&self, number: Number, outcome: Outcome) {
        let failure = match outcome {
            Err(failure) => Some(NoAnswer::Publish(failure)),
            Ok(Published::Acknowledged { reason_code: Some(NO_MATCHING_SUBSCRIBERS), .. }) => {
                Some(NoAnswer::NobodySubscribes)
            }
            Ok(_) => None,
        };
        let asker = self.with_state(|state| match failure {
            None => {
                state.requests.published(number);
                None
            }
            Some(failure) => state.requests.close(number).map(|asker| (asker, failure)),
        });
        if let Some((asker, failure)) = asker {
            self.end(asker, Err(failure));
        }
    }

    /// A message on a response topic.
    pub(super) fn answer(&self, message: &Arc<Received>) {
        let asker = self.lock().requests.answer(message);
        match asker {
            Some(asker) => self.end(asker, Ok(message.clone())),
            None => metrics::late_answer(),
        }
    }

    /// Tells those whose deadline has come.
    pub(super) fn expire_requests(&self) {
        let late = self.lock().requests.expire(Instant::now());
        for asker in late {
            self.end(asker, Err(NoAnswer::TimedOut));
        }
    }

    fn end(&self, asker: Asker, answer: Result<Arc<Received>, NoAnswer>) {
        self.with_state(|state| state.table.leave(&asker.filter, Want::Answers, Instant::now()));
        (asker.answered)(answer);
        self.0.changed.notify_all();
    }
}
