//! Whether a filter may be wanted at all: what one client wants leaves room for others, and the configuration as it is.

use super::{Subscriptions, Want};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// Filters that may be wanted at run time for the journal, and as many for readers and askers.
pub const MAX_FILTERS: usize = 1000;
/// Bytes of either of these together: what is kept of a filter grows with its length.
pub const MAX_FILTER_BYTES: usize = 128 * 1024;

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
        let at_run_time = self.overlaps.all().clone() - &self.kinds.of_file;
        let alike = match want {
            Want::Recorded(_) => at_run_time & &self.kinds.recorded,
            _ => at_run_time - &self.kinds.recorded,
        };
        let bytes = || alike.iter().map(|key| self.entries[&key].filter.as_str().len()).sum::<usize>();
        alike.len() >= MAX_FILTERS || bytes() + filter.as_str().len() > MAX_FILTER_BYTES
    }
}
