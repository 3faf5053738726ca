//! What one token holds at a time and may hold: subscriptions made at run time, readers, and publishes that wait.
//!
//! Several tokens may hold the same topic filter. Each counts it in its own quota, and the broker is asked to
//! unsubscribe when the last of them gives it up. Filters of the configuration count for no token.

mod holdings;
mod readers;
mod subscriptions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::holdings::Holdings;
pub use self::readers::ReaderKind;
pub use self::subscriptions::Unsubscribe;

use self::holdings::Holding;
use crate::config::{Sees, Token};
use crate::http::reply::Reply;
use crate::message::TopicFilter;
use crate::mqtt::Failure;

#[derive(Debug)]
pub struct Quota {
    rules: Arc<Token>,
    /// The position of the token in the configuration.
    index: usize,
    /// The topic filters of all tokens.
    holdings: Arc<Holdings>,
    /// Publishes and requests that are not settled.
    waiting: AtomicUsize,
}

/// One of the publishes and requests of a token that may wait at a time. Dropping it frees the slot.
#[derive(Debug)]
pub struct Slot {
    quota: Arc<Quota>,
}

impl Quota {
    pub fn new(rules: Arc<Token>, index: usize, holdings: Arc<Holdings>) -> Self {
        Self { rules, index, holdings, waiting: AtomicUsize::new(0) }
    }

    /// Whether the token may see only what it holds itself.
    pub fn sees_only_own(&self) -> bool {
        self.rules.sees == Sees::Own
    }

    /// How the token holds a filter, if it does.
    pub fn holding(&self, filter: &TopicFilter) -> Option<Holding> {
        self.holdings.lock()[self.index].get(filter).copied()
    }

    /// Publishes and requests that are not settled.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn reached(&self, key: &str, what: &str) -> Reply {
        log::debug!(TOKEN = self.rules.name; "token {} has as many {what} as its {key} allows", self.rules.name);
        Reply::quota_reached(&self.rules.name, key, what)
    }
}

impl Slot {
    pub fn take(quota: &Arc<Quota>) -> Result<Self, Failure> {
        let next = |waiting: usize| Some(waiting + 1).filter(|sum| *sum <= quota.rules.max_waiting);
        let taken = quota.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.map(|_| Self { quota: quota.clone() }).map_err(|_| Failure::ShareTaken)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.quota.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
