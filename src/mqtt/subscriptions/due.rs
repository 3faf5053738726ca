//! What is to be done about a filter, and which are carried by others.

use super::entry::{AtBroker, Entry};
use super::{Key, MAX_FILTERS, Subscriptions, Want};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// The most filters in one SUBSCRIBE.
const MAX_TOGETHER: usize = 100;
/// The most bytes of one with several.
const MAX_TOGETHER_SIZE: usize = 16 * 1024;
/// Bytes of a SUBSCRIBE beside the filter: fixed header, packet identifier, subscription identifier, length and options.
const SUBSCRIBE_OVERHEAD: usize = 1 + 4 + 2 + 6 + 2 + 1;

/// What is to be done about an entry.
pub enum Due {
    Nothing,
    Subscribe,
    Unsubscribe,
}

impl<R> Subscriptions<R> {
    /// What is to be done about an entry.
    pub(super) fn due(&self, key: Key) -> Due {
        let Some(entry) = self.entries.get(&key) else { return Due::Nothing };
        let wanted = self.wanted(key).map(|(_, qos)| qos);
        match (entry.state, wanted) {
            (AtBroker::Absent, Some(_)) => Due::Subscribe,
            (AtBroker::Refused(_), Some(_)) if entry.renew => Due::Subscribe,
            (AtBroker::Granted { asked, .. }, Some(qos)) if entry.renew || qos > asked => Due::Subscribe,
            (AtBroker::Granted { .. }, None) if self.is_needed(entry) => Due::Nothing,
            (AtBroker::Granted { .. }, None) => Due::Unsubscribe,
            // the session that the broker kept may have it
            (AtBroker::Absent, None) if entry.may_be_kept => Due::Unsubscribe,
            _ => Due::Nothing,
        }
    }

    /// What is to be asked for an entry, if it is to be with the broker itself.
    pub(super) fn wanted(&self, key: Key) -> Option<(TopicFilter, Qos)> {
        let entry = self.entries.get(&key)?;
        let own = entry.wanted()?;
        if self.connection.is_some_and(|link| link.has_identifiers) {
            return Some((entry.filter.clone(), own));
        }
        if self.carrier(key).is_some() {
            return None;
        }
        let carried = self.entries.values().filter(|other| entry.can_cover(other)).filter_map(Entry::wanted);
        Some((entry.filter.clone(), carried.fold(own, Qos::max)))
    }

    /// Whether it brings messages that are wanted and that nothing else brings yet, nor is about to.
    fn is_needed(&self, entry: &Entry<R>) -> bool {
        let is_brought = |key: Key, other: &Entry<R>| {
            let carrier = || self.carrier(key).and_then(|carrier| self.entries.get(&carrier)?.granted());
            other.state.nearness() > 0 || matches!(other.state, AtBroker::Refused(_)) || carrier().is_some()
        };
        self.connection.is_some_and(|link| !link.has_identifiers)
            && self.entries.iter().any(|(key, other)| {
                entry.can_cover(other)
                    && other.filter != entry.filter
                    && other.wanted().is_some()
                    && !is_brought(*key, other)
            })
    }

    /// The entry whose subscription brings the messages of this one too, where the broker tells none from another.
    pub(super) fn carrier(&self, key: Key) -> Option<Key> {
        if self.connection.is_none_or(|link| link.has_identifiers) {
            return None;
        }
        let entry = self.entries.get(&key).filter(|entry| !entry.filter.is_shared())?;
        let carries = |other: &Entry<R>| {
            let is_wider = other.can_cover(entry)
                // two that mean the same
                && (!entry.can_cover(other) || other.filter.as_str() < entry.filter.as_str());
            let is_there = match other.state {
                AtBroker::Granted { .. } => true,
                // until the wider one is there, what is there stays
                AtBroker::Absent | AtBroker::Asked { .. } => !entry.state.is_there(),
                AtBroker::Refused(_) | AtBroker::Leaving => false,
            };
            is_wider && is_there && other.wanted().is_some()
        };
        let found = self.entries.iter().filter(|(_, other)| carries(other));
        found.max_by_key(|(_, other)| other.state.nearness()).map(|(key, _)| *key)
    }

    /// Those that can be subscribed to with one packet.
    pub(super) fn together(&self, max_packet_size: usize) -> Vec<(TopicFilter, Qos)> {
        let due = self.dirty.iter().filter(|key| matches!(self.due(**key), Due::Subscribe));
        let mut size = 0;
        let fits = |key: &&Key| {
            size += self.packet_size(**key);
            size <= max_packet_size.min(MAX_TOGETHER_SIZE) || size == self.packet_size(**key)
        };
        due.take(MAX_TOGETHER).take_while(fits).filter_map(|key| self.wanted(*key)).collect()
    }

    /// What a SUBSCRIBE for this filter alone takes at most, in bytes.
    pub(super) fn packet_size(&self, key: Key) -> usize {
        self.entries.get(&key).map_or(0, |entry| entry.filter.as_str().len() + SUBSCRIBE_OVERHEAD)
    }

    /// Whether a filter may be wanted so at all.
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
        let is_recorded = matches!(want, Want::Recorded(_));
        let is_alike = |entry: &&Entry<R>| entry.file.is_none() && entry.is_recorded() == is_recorded;
        self.reserved.as_ref() != Some(filter) && self.entries.values().filter(is_alike).count() >= MAX_FILTERS
    }
}
