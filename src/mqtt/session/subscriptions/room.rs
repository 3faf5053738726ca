//! Whether a filter may be wanted at all: what one client wants leaves room for others, and the configuration as it is.

use std::time::Duration;

use super::{Subscriptions, Want};
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// How long a filter is kept when its last reader has gone: most come again, and want to know what they missed.
pub const LINGER: Duration = Duration::from_secs(30);

impl<R> Subscriptions<R> {
    /// Whether a filter may be wanted so.
    pub(super) fn may_want(&self, filter: &TopicFilter, want: Want) -> Result<(), Refusal> {
        let entry = self.by_filter.get(filter).and_then(|key| self.entries.get(key));
        let of_file = entry.and_then(|entry| entry.file);
        match (want, of_file) {
            (_, None) if entry.is_none() && self.is_full(filter, want) => Err(Refusal::TooManyFilters),
            (Want::Unsubscribed, Some(_)) => Err(Refusal::OfConfiguration),
            (Want::Recorded(qos), Some((other, _))) if qos != other => Err(Refusal::OfConfiguration),
            _ if self.is_kept && want.qos() == Some(Qos::ExactlyOnce) => Err(Refusal::QosNotSupported),
            _ => Ok(()),
        }
    }

    /// Whether there is no place for one filter more: who records many takes none from those who read.
    fn is_full(&self, filter: &TopicFilter, want: Want) -> bool {
        if self.reserved.as_ref() == Some(filter) {
            return false;
        }
        let (count, bytes) = self.taken(matches!(want, Want::Recorded(_)));
        count >= MAX_FILTERS || bytes + filter.as_str().len() > MAX_FILTER_BYTES
    }

    /// How long a filter is kept when its last reader or asker has gone: not at all where they have left little room, or
    /// whoever comes and goes with ever another filter would leave none.
    pub(super) fn linger(&self, filter: &TopicFilter) -> Duration {
        let is_crowded = || {
            let (count, bytes) = self.taken(false);
            count > MAX_FILTERS / 4 || bytes > MAX_FILTER_BYTES / 4
        };
        if self.reserved.as_ref() != Some(filter) && is_crowded() { Duration::ZERO } else { LINGER }
    }

    /// How many filters of run time there are for the journal, or for readers and askers, and their bytes.
    fn taken(&self, is_recorded: bool) -> (usize, usize) {
        let at_run_time = self.overlaps.all().clone() - &self.kinds.of_file;
        let recorded = &self.kinds.recorded;
        let alike = if is_recorded { at_run_time & recorded } else { at_run_time - recorded };
        (alike.len(), alike.iter().map(|key| self.entries[&key].filter.as_str().len()).sum())
    }
}
