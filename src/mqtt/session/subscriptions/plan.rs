//! Which operation an entry needs, and which entries are carried by others.

use super::Subscriptions;
use super::entry::BrokerState;
use super::index::{Key, KeySet};
use crate::message::Qos;

/// What an entry needs.
pub enum Plan {
    Nothing,
    /// A SUBSCRIBE at this quality of service.
    Subscribe(Qos),
    Unsubscribe,
}

impl Subscriptions {
    /// What an entry needs.
    pub(super) fn plan(&self, key: Key) -> Plan {
        let Some(entry) = self.entries.get(&key) else { return Plan::Nothing };
        let wanted = if self.carrier(key).is_none() { self.wanted(key) } else { None };
        match (entry.state, wanted) {
            (BrokerState::Absent, Some(qos)) => Plan::Subscribe(qos),
            (BrokerState::Refused(_), Some(qos)) if entry.renew => Plan::Subscribe(qos),
            (BrokerState::Subscribed { requested, .. }, Some(qos)) if entry.renew || qos > requested => {
                Plan::Subscribe(qos)
            }
            (BrokerState::Subscribed { .. }, None) if self.is_needed(key) => Plan::Nothing,
            (BrokerState::Subscribed { .. }, None) => Plan::Unsubscribe,
            // a kept session may have it
            (BrokerState::Absent, None) | (BrokerState::LeftOut | BrokerState::Refused(_), _) if entry.may_be_kept => {
                Plan::Unsubscribe
            }
            _ => Plan::Nothing,
        }
    }

    /// Whether filters carry each other: the broker does not tell for which subscription it sends a message.
    pub(super) fn is_carrying(&self) -> bool {
        self.connection.is_some_and(|link| !link.has_identifiers)
    }

    /// The quality of service that is wanted of an entry, including that of narrower ones which it carries.
    fn wanted(&self, key: Key) -> Option<Qos> {
        let own = self.entries.get(&key)?.wanted()?;
        let carried = if self.is_carrying() { self.index.highest_wanted(&self.narrower(key)) } else { None };
        carried.max(Some(own))
    }

    /// Whether it brings messages that are wanted and that no other subscription brings, or is about to bring.
    fn is_needed(&self, key: Key) -> bool {
        // a subscription that carries this one carries the narrower ones too
        if !self.is_carrying() || self.carrier_grant(key).is_some() {
            return false;
        }
        let index = &self.index;
        let mut missing = self.narrower(key).and(&index.wanted_at_least[0]);
        missing.set(key, false);
        missing = missing.without(&index.subscribing).without(&index.subscribed).without(&index.refused);
        missing.iter().any(|other| self.carrier_grant(other).is_none())
    }

    /// What the broker granted to the carrier of an entry.
    pub(super) fn carrier_grant(&self, key: Key) -> Option<u8> {
        self.carrier(key).and_then(|carrier| self.entries.get(&carrier)?.state.granted())
    }

    /// The entry whose subscription brings the messages of this one too, where the broker does not tell one from the
    /// other. One with the broker is preferred.
    pub(super) fn carrier(&self, key: Key) -> Option<Key> {
        if !self.is_carrying() {
            return None;
        }
        let entry = self.entries.get(&key).filter(|entry| !entry.filter.is_shared())?;
        let index = &self.index;
        let mut wider = index.filters.wider(&entry.filter).and(&index.wanted_at_least[0]).without(&index.shared);
        wider.set(key, false);
        // `#` and `+/#` mean the same, and so do `/#` and `/+/#`: the shorter one carries the longer
        if matches!(entry.filter.as_str(), "#" | "/#") {
            wider = wider.without(&index.filters.narrower(&entry.filter));
        }
        let subscribed = wider.first_in(&index.subscribed);
        // what is with the broker stays until the wider one is there
        let coming = || wider.first_in(&index.subscribing).or_else(|| wider.first_in(&index.absent));
        if entry.state.may_be_subscribed() { subscribed } else { subscribed.or_else(coming) }
    }

    /// The entries whose messages come for this one too, itself included.
    fn narrower(&self, key: Key) -> KeySet {
        let entry = self.entries.get(&key).filter(|entry| !entry.filter.is_shared());
        let narrower = |filter| self.index.filters.narrower(filter).without(&self.index.shared);
        entry.map_or_else(KeySet::default, |entry| narrower(&entry.filter))
    }
}
