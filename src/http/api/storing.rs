//! When a message is published: now, or later from the outbox.

use std::time::Duration;

use super::call::Call;
use super::context::Context;
use crate::http::input::named::Named;
use crate::http::input::prefer::prefers_async;
use crate::http::input::values::{self, Scalar};
use crate::http::reply::Reply;
use crate::message::{Message, Qos};
use crate::outbox::NotStored;

/// The times that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long the request may wait for its answer.
    pub timeout: Option<Duration>,
    /// How long messages may be stored.
    pub ttl: Option<Duration>,
}

/// The longest times that a request may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Longest {
    /// Of `timeout`.
    pub timeout: Duration,
    /// Of `ttl`.
    pub ttl: Duration,
}

impl Longest {
    pub fn of(context: &Context) -> Self {
        Self { timeout: context.max_timeout, ttl: context.max_ttl }
    }

    /// Takes the times out of fields or parameters.
    ///
    /// # Errors
    /// The text names the field and the rule.
    pub fn read(self, named: &mut Named<impl Scalar>) -> Result<Times, String> {
        let timeout = named.read("timeout", |value| values::timeout(value, self.timeout))?;
        let ttl = named.read("ttl", |value| values::ttl(value, self.ttl))?;
        Ok(Times { timeout, ttl })
    }
}

/// When messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Now: the broker has so long to acknowledge them.
    Now(Duration),
    /// As soon as the broker is there.
    Stored {
        /// How long they may be kept until the broker has them.
        ttl: Duration,
        /// How long the disk may take.
        timeout: Duration,
    },
}

impl When {
    /// How long the request may wait for its answer.
    pub fn timeout(self) -> Duration {
        match self {
            Self::Now(timeout) | Self::Stored { timeout, .. } => timeout,
        }
    }

    /// How long messages are stored, if they are.
    pub fn ttl(self) -> Option<Duration> {
        match self {
            Self::Now(_) => None,
            Self::Stored { ttl, .. } => Some(ttl),
        }
    }

    /// Whether a message may be published so.
    ///
    /// # Errors
    /// 400: nobody could tell whether a stored message at QoS 0 arrived, and its `ttl` says already when it expires.
    pub fn check(self, message: &Message) -> Result<(), Reply> {
        let is_stored = self.ttl().is_some();
        let error = match () {
            () if is_stored && message.qos == Qos::AtMostOnce => {
                "`qos` must be 1 or 2 with `ttl`: at `qos` 0 nothing tells whether a message arrived"
            }
            () if is_stored && message.properties.message_expiry_interval.is_some() => {
                "a message expiry interval must not be there with `ttl`: what remains of `ttl` takes its place"
            }
            () => return Ok(()),
        };
        Err(Reply::invalid(error.to_owned()))
    }
}

impl Call<'_> {
    /// When the messages of a request with this `ttl` and this timeout are published.
    ///
    /// # Errors
    /// 400 if the client does not say that it expects an answer before they are, and 501 without an outbox.
    pub fn when(&self, ttl: Option<Duration>, timeout: Option<Duration>) -> Result<When, Reply> {
        let timeout = timeout.unwrap_or(self.context.timeout);
        let Some(ttl) = ttl else { return Ok(When::Now(timeout)) };
        if !prefers_async(self.head()?) {
            return Err(Reply::invalid("`ttl` needs the header `Prefer: respond-async`".to_owned()));
        }
        if !self.context.outbox.is_on() {
            return Err(NotStored::Off.into());
        }
        Ok(When::Stored { ttl, timeout })
    }

    /// Whether a complete message can reach a broker.
    ///
    /// # Errors
    /// 413 or 501 for what would only be refused later, by the bridge itself or by the broker that is connected.
    pub fn check_storable(&self, message: &Message) -> Result<(), Reply> {
        self.context.publisher.refuses(message).map_or(Ok(()), |failure| Err(failure.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Properties, TopicName};

    #[test]
    fn only_what_can_be_followed_to_its_end_is_stored() {
        let (now, second) = (When::Now(Duration::from_secs(1)), Duration::from_secs(1));
        let stored = When::Stored { ttl: second, timeout: second };
        let message = |qos, message_expiry_interval| {
            let properties = Properties { message_expiry_interval, ..Properties::default() };
            let topic = TopicName::try_from("a".to_owned()).unwrap();
            Message { topic, payload: "p".into(), qos, retain: false, properties }
        };
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            assert_eq!(now.check(&message(qos, Some(1))), Ok(()));
            assert_eq!(stored.check(&message(qos, None)).is_ok(), qos != Qos::AtMostOnce);
            assert_eq!(stored.check(&message(qos, Some(1))).unwrap_err().status(), 400);
        }
    }
}
