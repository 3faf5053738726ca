//! How many topic filters may be added at run time. The journal's and the readers' filters have separate quotas, and
//! those of the configuration count in neither.

use std::time::Duration;

use super::Subscriptions;
use super::interest::Interest;
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// How long a filter stays subscribed when its last reader has left: most come back, and want what they missed.
pub const LINGER: Duration = Duration::from_secs(30);

impl Subscriptions {
    /// Whether an interest in a filter is acceptable.
    pub(super) fn check(&self, filter: &TopicFilter, interest: Interest) -> Result<(), Refusal> {
        let entry = self.by_filter.get(filter).and_then(|key| self.entries.get(key));
        let of_file = entry.and_then(|entry| entry.file);
        match (interest, of_file) {
            (_, None) if entry.is_none() && self.is_full(filter, interest) => Err(Refusal::TooManyFilters),
            (Interest::Unsubscribe, Some(_)) => Err(Refusal::OfConfiguration),
            (Interest::Record(qos), Some((other, _))) if qos != other => Err(Refusal::OfConfiguration),
            _ if self.is_kept && interest.qos() == Some(Qos::ExactlyOnce) => Err(Refusal::QosNotSupported),
            _ => Ok(()),
        }
    }

    /// Whether the quota is used up.
    fn is_full(&self, filter: &TopicFilter, interest: Interest) -> bool {
        if self.reserved.as_ref() == Some(filter) {
            return false;
        }
        let (count, bytes) = self.used(matches!(interest, Interest::Record(_)));
        count >= MAX_FILTERS || bytes + filter.as_str().len() > MAX_FILTER_BYTES
    }

    /// How long a filter stays subscribed when its last reader or requester has left: not at all while more than a
    /// quarter of the quota is used, as clients that come and go with ever new filters would use it up.
    pub(super) fn linger(&self, filter: &TopicFilter) -> Duration {
        let is_crowded = || {
            let (count, bytes) = self.used(false);
            count > MAX_FILTERS / 4 || bytes > MAX_FILTER_BYTES / 4
        };
        if self.reserved.as_ref() != Some(filter) && is_crowded() { Duration::ZERO } else { LINGER }
    }

    /// How many filters were added at run time for the journal, or for readers and requesters, and their bytes.
    fn used(&self, is_recorded: bool) -> (usize, usize) {
        let at_run_time = self.index.filters.all.clone().without(&self.index.of_file);
        let recorded = &self.index.recorded;
        let alike = if is_recorded { at_run_time.and(recorded) } else { at_run_time.without(recorded) };
        (alike.len(), alike.iter().map(|key| self.entries[&key].filter.as_str().len()).sum())
    }
}
