//! `[publish]`: what holds for every publish.

use std::time::Duration;

use super::fault::Fault;
use super::kind::{Seconds, Whole};
use super::mqtt::Protocol;
use super::outbox::Outbox;

/// In seconds.
const WEEK: u64 = 7 * 86_400;

table! {
    /// What holds for every publish.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Publish from PublishKeys {
        /// The time limit of a publish that does not set one, and of a stop of the daemon.
        timeout: Seconds<1> = Duration::from_secs(10),
        /// The longest time that a publish may ask for.
        max_timeout: Seconds<1> = Duration::from_secs(60),
        /// Publishes that are accepted and not yet settled. Half of it, which is what a token has, is a whole bulk.
        max_waiting: Whole<usize, 1, 1_000_000> = 2000,
        /// Whether the messages of hooks go to the outbox first.
        store: bool = false,
        /// Idempotency keys that are known at a time.
        idempotency_keys: Whole<usize, 1, 1_000_000> = 10_000,
        /// How long an idempotency key is known.
        idempotency_ttl: Seconds<1000, WEEK> = Duration::from_secs(3600),
        /// Whether a message has the idempotency key of its request as a user property.
        forward_idempotency_key: bool = false,
    }
}

impl PublishKeys {
    pub fn read(&self, protocol: Protocol, outbox: &Outbox) -> Result<Publish, Fault> {
        let mut publish = self.read_each()?;
        if publish.timeout > publish.max_timeout {
            if self.timeout.value.is_some() {
                let most = publish.max_timeout.as_secs_f64();
                let what = format!("{} must be at most {}, which is {most} s", self.timeout, self.max_timeout);
                return Err(self.timeout.fault(what));
            }
            // a shorter `max-timeout` alone is meant for this one too
            publish.timeout = publish.max_timeout;
        }
        if publish.store && outbox.path.is_none() {
            return Err(self.store.fault(format!("{} needs `path` in [outbox]", self.store)));
        }
        if publish.forward_idempotency_key && protocol == Protocol::V311 {
            let key = &self.forward_idempotency_key;
            return Err(key.fault(format!("{key} needs MQTT 5, which has user properties: see `protocol` in [mqtt]")));
        }
        Ok(publish)
    }
}
