//! What is to be done about a filter, and which are carried by others.

use super::entry::AtBroker;
use super::{Key, Keys, Subscriptions};
use crate::message::Qos;

/// What is to be done about an entry.
pub enum Due {
    Nothing,
    /// At this quality of service.
    Subscribe(Qos),
    Unsubscribe,
}

impl<R> Subscriptions<R> {
    /// What is to be done about an entry, given its [`Self::carrier`].
    pub(super) fn due(&self, key: Key, carrier: Option<Key>) -> Due {
        let Some(entry) = self.entries.get(&key) else { return Due::Nothing };
        let wanted = if carrier.is_none() { self.wanted(key) } else { None };
        match (entry.state, wanted) {
            (AtBroker::Absent, Some(qos)) => Due::Subscribe(qos),
            (AtBroker::Refused(_), Some(qos)) if entry.renew => Due::Subscribe(qos),
            (AtBroker::Granted { asked, .. }, Some(qos)) if entry.renew || qos > asked => Due::Subscribe(qos),
            (AtBroker::Granted { .. }, None) if self.is_needed(key) => Due::Nothing,
            (AtBroker::Granted { .. }, None) => Due::Unsubscribe,
            // the session that the broker kept may have it
            (AtBroker::Absent, None) | (AtBroker::LeftOut | AtBroker::Refused(_), _) if entry.may_be_kept => {
                Due::Unsubscribe
            }
            _ => Due::Nothing,
        }
    }

    /// Whether filters carry each other: the broker does not tell for which subscription it sends a message.
    pub(super) fn is_carrying(&self) -> bool {
        self.connection.is_some_and(|link| !link.has_identifiers)
    }

    /// At which quality of service the messages of an entry are wanted, those of narrower ones included.
    fn wanted(&self, key: Key) -> Option<Qos> {
        let own = self.entries.get(&key)?.wanted()?;
        let carried = if self.is_carrying() { self.kinds.highest_wanted(&self.narrower(key)) } else { None };
        carried.max(Some(own))
    }

    /// Whether it brings messages that are wanted and that nothing else brings yet, nor is about to.
    fn is_needed(&self, key: Key) -> bool {
        // what brings its own messages brings those of the narrower ones too
        if !self.is_carrying() || self.carried(key).is_some() {
            return false;
        }
        let kinds = &self.kinds;
        let mut missing = self.narrower(key) & &kinds.wanted[0];
        missing.set(key, false);
        missing = missing - &kinds.asked - &kinds.there - &kinds.refused;
        missing.iter().any(|other| self.carried(other).is_none())
    }

    /// What the broker granted to the one that brings the messages of this one too, if that is so.
    pub(super) fn carried(&self, key: Key) -> Option<u8> {
        self.carrier(key).and_then(|carrier| self.entries.get(&carrier)?.granted())
    }

    /// The entry whose subscription brings the messages of this one too, where the broker tells none from another: one
    /// that is there, if there is any.
    pub(super) fn carrier(&self, key: Key) -> Option<Key> {
        if !self.is_carrying() {
            return None;
        }
        let entry = self.entries.get(&key).filter(|entry| !entry.filter.is_shared())?;
        let kinds = &self.kinds;
        let mut wider = (self.overlaps.wider(&entry.filter) & &kinds.wanted[0]) - &kinds.shared;
        wider.set(key, false);
        // `+/#` means the same, and so it is with `/+/#`: the shorter one carries the longer
        if matches!(entry.filter.as_str(), "#" | "/#") {
            wider = wider - &self.overlaps.narrower(&entry.filter);
        }
        let there = wider.first_in(&kinds.there);
        // until the wider one is there, what is there stays
        let coming = || wider.first_in(&kinds.asked).or_else(|| wider.first_in(&kinds.absent));
        if entry.state.is_there() { there } else { there.or_else(coming) }
    }

    /// Those whose messages come for this one too, itself included.
    fn narrower(&self, key: Key) -> Keys {
        let entry = self.entries.get(&key).filter(|entry| !entry.filter.is_shared());
        entry.map_or_else(Keys::default, |entry| self.overlaps.narrower(&entry.filter) - &self.kinds.shared)
    }
}
