//! Subscriptions that a token makes and ends at run time.

use std::sync::Arc;

use super::Quota;
use super::holdings::{Holding, count, of_others};
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::http::reply::Reply;
use crate::message::{Qos, TopicFilter};

/// A SUBSCRIBE that the broker has not yet answered.
#[derive(Debug)]
pub struct PendingSubscribe {
    quota: Arc<Quota>,
    filter: TopicFilter,
    /// The quality of service to ask for: no lower than other tokens have.
    pub qos: Qos,
    requested: Qos,
    is_granted: bool,
}

/// What it takes for a token to unsubscribe from a filter.
#[derive(Debug)]
pub enum Unsubscribe {
    /// Other tokens still hold the filter: the broker must not be asked.
    StillHeld,
    /// No other token holds it: the broker is to be asked.
    Last(PendingUnsubscribe),
    /// No token holds it.
    NotHeld,
}

/// An UNSUBSCRIBE that the broker has not yet answered.
#[derive(Debug)]
pub struct PendingUnsubscribe {
    quota: Arc<Quota>,
    filter: TopicFilter,
}

impl Quota {
    /// Counts a filter that is to be subscribed to, perhaps at another quality of service than before. `None` for a
    /// filter of the configuration.
    pub fn begin_subscribe(
        self: &Arc<Self>,
        filter: &TopicFilter,
        requested: Qos,
    ) -> Result<Option<PendingSubscribe>, Reply> {
        if self.holdings.configured.contains(filter) {
            return Ok(None);
        }
        let mut by_token = self.holdings.lock();
        let own = &by_token[self.index];
        if !own.get(filter).is_some_and(Holding::is_subscription) {
            let (filters, bytes) = count(own, Holding::is_subscription);
            let max = self.rules.max_subscriptions;
            // in proportion to the filters, and at least half of all bytes, as a few filters may be long
            let max_bytes = (MAX_FILTER_BYTES / 2).max(MAX_FILTER_BYTES / MAX_FILTERS * max);
            if filters >= max || bytes + filter.as_str().len() > max_bytes {
                return Err(self.reached("max-subscriptions", "topic filters"));
            }
        }
        let others = of_others(&by_token, self.index, filter).filter_map(|holding| holding.qos);
        let qos = others.fold(requested, Qos::max);
        by_token[self.index].entry(filter.clone()).or_default().pending += 1;
        let (quota, filter) = (self.clone(), filter.clone());
        Ok(Some(PendingSubscribe { quota, filter, qos, requested, is_granted: false }))
    }

    /// Gives up this token's hold on a filter.
    pub fn begin_unsubscribe(self: &Arc<Self>, filter: &TopicFilter) -> Result<Unsubscribe, Reply> {
        let mut by_token = self.holdings.lock();
        let has_others = of_others(&by_token, self.index, filter).next().is_some();
        let own = by_token[self.index].get_mut(filter).filter(|holding| holding.is_subscription());
        match own {
            // a token that sees only its own must not learn of others
            None if has_others && self.sees_only_own() => return Ok(Unsubscribe::StillHeld),
            None if has_others => return Err(Reply::subscription_of_others(&self.rules.name, filter)),
            None => return Ok(Unsubscribe::NotHeld),
            Some(holding) if has_others => (holding.qos, holding.ending) = (None, None),
            Some(holding) => {
                holding.ending = holding.qos.take().or(holding.ending);
                let (quota, filter) = (self.clone(), filter.clone());
                return Ok(Unsubscribe::Last(PendingUnsubscribe { quota, filter }));
            }
        }
        drop(by_token);
        self.holdings.change(self.index, filter, |_| ());
        Ok(Unsubscribe::StillHeld)
    }
}

impl PendingSubscribe {
    /// The broker has answered. If it has not granted the filter, the token holds it as before.
    pub fn settle(mut self, is_granted: bool) {
        self.is_granted = is_granted;
    }
}

impl Drop for PendingSubscribe {
    fn drop(&mut self) {
        self.quota.holdings.change(self.quota.index, &self.filter, |holding| {
            holding.pending -= 1;
            if self.is_granted {
                holding.qos = Some(self.requested);
            }
        });
    }
}

impl PendingUnsubscribe {
    /// The broker has answered. Returns the quality of service to subscribe with again, if a token has subscribed to
    /// the filter in the meantime.
    pub fn settle(self, is_unsubscribed: bool) -> Option<Qos> {
        let Self { quota, filter } = self;
        quota.holdings.change(quota.index, &filter, |holding| {
            let before = holding.ending.take();
            holding.qos = if is_unsubscribed { holding.qos } else { holding.qos.or(before) };
        });
        let by_token = quota.holdings.lock();
        by_token.iter().filter_map(|filters| filters.get(&filter)?.qos).max().filter(|_| is_unsubscribed)
    }
}
