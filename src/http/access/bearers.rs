//! Whoever has the secret of a token, the same at all doors: what it may do, and how much of it waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::holdings::Holdings;
use super::rate::Bucket;
use crate::config::{Config, Token, hash};
use crate::http::reply::{Reply, SHOWN};
use crate::memory::Memory;
use crate::message::{Message, TopicName};
use crate::mqtt::Failure;
use crate::printable::Printable;

/// All bearers; if there is none, everybody may do everything.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<[Arc<Bearer>]>);

/// Whoever has the secret of a token.
#[derive(Debug)]
pub struct Bearer {
    pub token: Token,
    /// Its place in the configuration.
    pub number: usize,
    /// What it and the others hold.
    pub holdings: Arc<Holdings>,
    /// `None` where there is no limit.
    bucket: Option<Mutex<Bucket>>,
    /// Publishes and requests that are not answered.
    waiting: AtomicUsize,
    /// What they may hold, be they answered or not.
    pub memory: Memory,
}

/// One of the places of a bearer for what waits.
#[derive(Debug)]
pub struct Place {
    bearer: Arc<Bearer>,
}

impl Tokens {
    /// Those of the configuration, who share this memory.
    #[must_use]
    pub fn new(config: &Config, memory: &Memory) -> Self {
        let now = Instant::now();
        let holdings = Arc::new(Holdings::new(config));
        let bearer = |(number, token): (usize, &Token)| {
            let bucket = token.rate.map(|rate| Mutex::new(Bucket::new(rate, now)));
            let (token, holdings) = (token.clone(), holdings.clone());
            let (waiting, memory) = (AtomicUsize::new(0), memory.part());
            Arc::new(Bearer { token, number, holdings, bucket, waiting, memory })
        };
        Self(config.tokens.iter().enumerate().map(bearer).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn in_item(&self, number: usize) -> Arc<Bearer> {
        self.0[number].clone()
    }

    /// Compares with every byte of every token, so that the time it takes tells nothing.
    pub(super) fn find(&self, secret: &str) -> Option<&Arc<Bearer>> {
        let hash = hash(secret);
        self.0.iter().fold(None, |found, bearer| {
            let is_same = bearer.token.sha256.ct_eq(&hash);
            if bool::from(is_same) { Some(bearer) } else { found }
        })
    }
}

/// One record for each message is for those who look for a fault.
impl Bearer {
    /// Whether a message may be published, and its answer where it says.
    pub fn require_topics(&self, message: &Message) -> Result<(), Reply> {
        self.require_topic(&message.topic)?;
        message.properties.response_topic.as_ref().map_or(Ok(()), |topic| self.require_response_topic(topic))
    }

    fn require_topic(&self, topic: &TopicName) -> Result<(), Reply> {
        let token = &self.token;
        if token.publish.iter().any(|filter| filter.matches(topic)) {
            return Ok(());
        }
        let shown = Printable::new(topic.as_str(), SHOWN);
        log::debug!(TOKEN = token.name; "token {} may not publish to {shown}", token.name);
        Err(Reply::topic_denied(&token.name, topic))
    }

    /// Whoever answers publishes there, and might do so where this token may not.
    pub fn require_response_topic(&self, topic: &TopicName) -> Result<(), Reply> {
        let token = &self.token;
        if token.publish.iter().chain(&token.response_topics).any(|filter| filter.matches(topic)) {
            return Ok(());
        }
        let shown = Printable::new(topic.as_str(), SHOWN);
        log::debug!(TOKEN = token.name; "token {} may not ask for answers on {shown}", token.name);
        Err(Reply::response_topic_denied(&token.name, topic))
    }

    pub fn require_rate(&self, messages: usize) -> Result<(), Reply> {
        let Self { token, bucket: Some(bucket), .. } = self else { return Ok(()) };
        let count = u32::try_from(messages).unwrap_or(u32::MAX);
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(count, Instant::now());
        taken.map_err(|wait| {
            log::debug!(TOKEN = token.name; "token {} is over its rate", token.name);
            Reply::rate_exceeded(&token.name, wait)
        })
    }

    pub fn tell_of(&self, topic: &TopicName) {
        let shown = Printable::new(topic.as_str(), SHOWN);
        log::debug!(TOKEN = self.token.name; "token {} publishes to {shown}", self.token.name);
    }

    /// Publishes and requests of its that are not answered.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Place {
    /// A place for one publish or request, until it is dropped.
    pub fn take(bearer: &Arc<Bearer>) -> Result<Self, Failure> {
        let next = |waiting: usize| Some(waiting + 1).filter(|sum| *sum <= bearer.token.max_waiting);
        let taken = bearer.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.map(|_| Self { bearer: bearer.clone() }).map_err(|_| Failure::ShareTaken)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bearer.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
