//! Which entries have which properties, so that a question about many of them needs no look at each.
//!
//! The filters are kept in bit sets by level, not in a trie of levels. Measured with a thousand filters that overlap: a
//! message finds its filters in 4 µs instead of 560 µs, and a plan those that a filter covers in 0.3 µs instead of 170
//! µs, once for each of a thousand filters at each change. The sets of properties would be needed besides a trie, too.

mod key_set;
mod levels;

pub use self::key_set::{Key, KeySet};

use self::levels::FilterLevels;
use super::entry::{BrokerState, Entry};
use crate::message::{Qos, TopicFilter};

/// The filters by their levels, and sets of keys by properties of the entries.
#[derive(Default)]
pub struct Index {
    pub filters: FilterLevels,
    pub shared: KeySet,
    /// Of the configuration.
    pub of_file: KeySet,
    /// For the journal.
    pub recorded: KeySet,
    /// For readers, or for requesters.
    pub read: KeySet,
    /// By the quality of service that is wanted at least.
    pub wanted_at_least: [KeySet; 3],
    /// The same of what was granted on this connection.
    pub granted_at_least: [KeySet; 3],
    pub absent: KeySet,
    pub subscribing: KeySet,
    /// Granted, and no operation was sent since.
    pub subscribed: KeySet,
    /// Or left out.
    pub refused: KeySet,
}

impl Index {
    /// Removes an entry.
    pub fn remove(&mut self, key: Key, filter: &TopicFilter) {
        self.filters.set(filter, key, false);
        self.update(key, None);
    }

    /// Records the properties of an entry; of none where it is removed.
    pub fn update(&mut self, key: Key, entry: Option<&Entry>) {
        let is = |is_so: &dyn Fn(&Entry) -> bool| entry.is_some_and(is_so);
        self.shared.set(key, is(&|entry| entry.filter.is_shared()));
        self.of_file.set(key, is(&|entry| entry.file.is_some()));
        self.recorded.set(key, is(&Entry::is_recorded));
        self.read.set(key, is(&|entry| entry.buffer.is_some() || entry.awaits_responses()));
        let (wanted, granted) = (entry.and_then(Entry::wanted), entry.and_then(|entry| entry.state.granted()));
        for (qos, (of_wanted, of_granted)) in (0..).zip(self.wanted_at_least.iter_mut().zip(&mut self.granted_at_least))
        {
            of_wanted.set(key, wanted.is_some_and(|wanted| wanted as u8 >= qos));
            of_granted.set(key, granted.is_some_and(|granted| granted >= qos));
        }
        self.absent.set(key, is(&|entry| entry.state == BrokerState::Absent));
        self.subscribing.set(key, is(&|entry| matches!(entry.state, BrokerState::Subscribing { .. })));
        self.subscribed.set(key, is(&|entry| matches!(entry.state, BrokerState::Subscribed { .. })));
        self.refused.set(key, is(&|entry| matches!(entry.state, BrokerState::Refused(_) | BrokerState::LeftOut)));
    }

    /// The highest quality of service at which one of these is wanted.
    pub fn highest_wanted(&self, of: &KeySet) -> Option<Qos> {
        let levels = [Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::AtMostOnce];
        levels.into_iter().find(|qos| of.first_in(&self.wanted_at_least[*qos as usize]).is_some())
    }

    /// The first of these that has the best granted quality of service; the first one where none is granted.
    pub fn best_granted(&self, of: &KeySet) -> Option<Key> {
        self.granted_at_least.iter().rev().find_map(|granted| of.first_in(granted)).or_else(|| of.iter().next())
    }
}
