//! The topic filters that tokens hold.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::message::{Qos, TopicFilter};

/// The topic filters of all tokens.
#[derive(Debug)]
pub struct Holdings {
    /// Those of the configuration.
    pub configured: HashSet<TopicFilter>,
    /// By the position of each token in the configuration, and behind them of each hook.
    by_token: Mutex<Vec<Filters>>,
}

/// The topic filters of one token.
pub type Filters = HashMap<TopicFilter, Holding>;

/// How one token holds one filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// The token has subscribed to it.
    pub qos: Option<Qos>,
    /// It had subscribed, and the broker has not yet answered the UNSUBSCRIBE.
    pub ending: Option<Qos>,
    /// SUBSCRIBEs that the broker has not yet answered.
    pub pending: usize,
    pub streams: usize,
    /// Requests whose response topic it is.
    pub requests: usize,
}

impl Holding {
    /// Whether it counts as a subscription.
    pub fn is_subscription(&self) -> bool {
        self.qos.is_some() || self.ending.is_some() || self.pending > 0
    }

    /// Whether something reads from it.
    pub fn has_readers(&self) -> bool {
        self.streams + self.requests > 0
    }
}

impl Holdings {
    pub fn new(config: &Config) -> Self {
        let configured = config.subscribe.iter().map(|subscription| subscription.topic.clone()).collect();
        Self { configured, by_token: Mutex::new(vec![HashMap::new(); config.tokens.len() + config.hooks.len()]) }
    }

    /// Changes how a token holds a filter, and removes the entry if the token no longer holds it.
    pub fn change(&self, token: usize, filter: &TopicFilter, change: impl FnOnce(&mut Holding)) {
        let mut by_token = self.lock();
        let filters = &mut by_token[token];
        let holding = filters.entry(filter.clone()).or_default();
        change(holding);
        if !holding.is_subscription() && !holding.has_readers() {
            filters.remove(filter);
        }
    }

    /// Uses a poisoned state as it is. A panic ends the process, except in the handler of a request, where it is
    /// caught.
    pub fn lock(&self) -> MutexGuard<'_, Vec<Filters>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The holdings of a filter by tokens that have subscribed to it, other than this one.
pub fn of_others<'a>(by_token: &'a [Filters], token: usize, filter: &TopicFilter) -> impl Iterator<Item = &'a Holding> {
    let others = by_token.iter().enumerate().filter(move |(index, _)| *index != token);
    others.filter_map(|(_, filters)| filters.get(filter)).filter(|holding| holding.is_subscription())
}

/// The number of filters of one kind, and their bytes.
pub fn count(filters: &Filters, is_counted: fn(&Holding) -> bool) -> (usize, usize) {
    let counted = filters.iter().filter(|(_, holding)| is_counted(holding));
    counted.fold((0, 0), |(count, bytes), (filter, _)| (count + 1, bytes + filter.as_str().len()))
}
