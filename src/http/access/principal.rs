//! The sender of an admitted request: what its token allows.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::quota::{Quota, Slot};
use super::tokens::Token;
use crate::http::reply::{Reply, shown};
use crate::message::{Message, TopicFilter, TopicName};
use crate::mqtt::Failure;

/// The sender of an admitted request.
#[derive(Debug)]
pub struct Principal<'a> {
    /// `None` if no tokens are configured: everyone may do everything then.
    pub token: Option<&'a Token>,
}

/// Rights. Each message and each refusal has a record at debug.
impl Principal<'_> {
    /// Whether many messages may be published: either all of them or none.
    pub fn may_publish_all(&self, messages: &[Message]) -> Result<(), Reply> {
        let may = |(index, message)| self.may_publish(message).map_err(|refusal| refusal.for_item(index));
        messages.iter().enumerate().try_for_each(may)
    }

    /// Whether a message may be published.
    pub fn may_publish(&self, message: &Message) -> Result<(), Reply> {
        let Some(Token { rules, .. }) = self.token else { return Ok(()) };
        let topic = &message.topic;
        if !rules.publish.iter().any(|filter| filter.matches(topic)) {
            log::debug!(TOKEN = rules.name; "token {} may not publish to {}", rules.name, shown(topic.as_str()));
            return Err(Reply::topic_denied(&rules.name, topic));
        }
        message.properties.response_topic.as_ref().map_or(Ok(()), |topic| self.may_use_response_topic(topic))
    }

    /// Whether a response topic may be asked for: the responder publishes there, where the token may not be allowed to.
    pub fn may_use_response_topic(&self, topic: &TopicName) -> Result<(), Reply> {
        let Some(Token { rules, .. }) = self.token else { return Ok(()) };
        if rules.publish.iter().chain(&rules.response_topics).any(|filter| filter.matches(topic)) {
            return Ok(());
        }
        log::debug!(TOKEN = rules.name; "token {} may not ask for answers on {}", rules.name, shown(topic.as_str()));
        Err(Reply::response_topic_denied(&rules.name, topic))
    }

    /// Whether every message that matches the filter may be read.
    pub fn may_read(&self, filter: &TopicFilter) -> Result<(), Reply> {
        let Some(Token { rules, .. }) = self.token else { return Ok(()) };
        if rules.subscribe.iter().any(|allowed| allowed.covers(filter)) {
            return Ok(());
        }
        log::debug!(TOKEN = rules.name; "token {} may not read {}", rules.name, shown(filter.as_str()));
        Err(Reply::filter_denied(&rules.name, filter))
    }

    /// Takes messages from the token's rate. Either all of them may be published now, or none.
    pub fn count(&self, messages: &[Message]) -> Result<(), Reply> {
        let Some(Token { rules, rate_limit, .. }) = self.token else { return Ok(()) };
        let (kind, name) = rules.kind_and_name();
        if let Some(rate_limit) = rate_limit {
            let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            let taken = rate_limit.lock().unwrap_or_else(PoisonError::into_inner).take(count, Instant::now());
            taken.map_err(|wait| {
                log::debug!(TOKEN = rules.name; "{kind} {name} is over its rate");
                Reply::rate_exceeded(kind, name, wait)
            })?;
        }
        for message in messages {
            log::debug!(TOKEN = rules.name; "{kind} {name} publishes to {}", shown(message.topic.as_str()));
        }
        Ok(())
    }
}

/// Quota. Without tokens there is none.
impl<'a> Principal<'a> {
    /// The name of the token or of the hook; empty without tokens.
    pub fn name(&self) -> &'a str {
        self.token.map_or("", |token| &token.rules.name)
    }

    pub fn quota(&self) -> Option<&Arc<Quota>> {
        self.token.map(|token| &token.quota)
    }

    /// The quota that the sender's view is restricted to. `None` if it may see everything.
    pub fn restricted_to(&self) -> Option<&Arc<Quota>> {
        self.quota().filter(|quota| quota.sees_only_own())
    }

    /// A slot for a publish or a request until it is settled.
    pub fn take_slot(&self) -> Result<Option<Slot>, Failure> {
        self.quota().map(Slot::take).transpose()
    }
}
