//! To whom a message goes: each of those whose filter it matches, once, however many copies the broker sends.

use std::sync::Arc;

use super::identifiers;
use super::{Entry, Key, Keys, Subscriptions};
use crate::message::{Priority, Received};
use crate::metrics::Stray;
use crate::mqtt::session::topic_buffer::{Channel, Kept};

/// To whom a message goes.
#[derive(Default)]
pub struct Route {
    /// The journal, if it is meant, and how urgent that is.
    pub journal: Option<Priority>,
    /// Readers; for a message that the broker had kept, those of them who have just come.
    pub channels: Vec<(Arc<Channel>, Option<Kept>)>,
    /// Whoever awaits an answer.
    pub is_answer: bool,
    /// It goes to nobody, and should not have been sent.
    pub stray: Option<Stray>,
}

impl Route {
    fn to_nobody(stray: Stray) -> Self {
        Self { stray: Some(stray), ..Self::default() }
    }
}

impl<R> Subscriptions<R> {
    /// To whom a message goes.
    pub fn route(&self, message: &Received) -> Route {
        if message.topic.iter().any(|byte| matches!(byte, b'+' | b'#')) {
            return Route::to_nobody(Stray::WildcardTopic);
        }
        let matching = self.overlaps.matching(&String::from_utf8_lossy(&message.topic));
        let identifiers = &message.properties.subscription_identifiers;
        if matching.is_empty() {
            return Route::to_nobody(Stray::UnaskedTopic);
        }
        if identifiers.is_empty() {
            return self.route_by_topic(&matching, message.retain);
        }
        if identifiers.iter().all(|identifier| self.find(*identifier).is_none()) {
            return Route::to_nobody(Stray::UnknownSubscription);
        }
        let mut route = Route::default();
        let recorder = self.recorder(&matching);
        for (key, generation) in identifiers.iter().filter_map(|identifier| self.find(*identifier)) {
            let Some(entry) = self.entries.get(&key) else { continue };
            let kept = message.retain.then_some(Kept { generation, is_for_all: entry.is_for_all(generation) });
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), kept)));
            route.is_answer |= entry.awaits_answers();
            if recorder == Some(key) && (!message.retain || entry.records_retained(generation)) {
                route.journal = Some(self.priority(&matching));
            }
        }
        route
    }

    /// The broker does not tell for which subscription it sends a message.
    fn route_by_topic(&self, matching: &Keys, is_retained: bool) -> Route {
        let mut route = Route::default();
        // what it had kept, it sends for the latest subscription that matches: the first of a connection is for all
        let latest = if is_retained { self.latest(matching) } else { None };
        if let Some(entry) = latest.filter(|entry| !entry.is_for_all(entry.generation)) {
            let kept = Kept { generation: entry.generation, is_for_all: false };
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), Some(kept))));
            route.journal = entry.is_asked_to_record().then(|| self.priority(matching));
            return route;
        }
        let readers = matching.clone() & &self.kinds.read;
        for entry in readers.iter().filter_map(|key| self.entries.get(&key)) {
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), None)));
            route.is_answer |= entry.awaits_answers();
        }
        let is_recorded = matching.first_in(&self.kinds.recorded).is_some();
        route.journal = is_recorded.then(|| self.priority(matching));
        route
    }

    /// Of these, the one that was subscribed to last.
    fn latest(&self, of: &Keys) -> Option<&Entry<R>> {
        let entries = of.iter().filter_map(|key| self.entries.get(&key));
        entries.filter(|entry| entry.state.is_there()).max_by_key(|entry| entry.asked_as)
    }

    /// The entry with this subscription identifier, and how often it had been subscribed to.
    fn find(&self, identifier: u32) -> Option<(Key, u32)> {
        let entry = |slot| self.by_slot.get(&slot).and_then(|key| Some((*key, self.entries.get(key)?)));
        let (slot, generation) = identifiers::parse(identifier, |slot| entry(slot).map(|(_, entry)| entry.generation))?;
        entry(slot).map(|(key, _)| (key, generation))
    }

    /// Of all copies of a message the one for this entry is recorded: that with the best quality of service, and no
    /// shared one where there are others, as those may be sent to somebody else.
    fn recorder(&self, matching: &Keys) -> Option<Key> {
        let recorded = (matching.clone() & &self.kinds.recorded) - &self.kinds.refused;
        let own = recorded.clone() - &self.kinds.shared;
        self.kinds.best_granted(if own.is_empty() { &recorded } else { &own })
    }

    /// The first filter that matches says how urgent a message is.
    fn priority(&self, matching: &Keys) -> Priority {
        let recorded = matching.first_in(&self.kinds.recorded).and_then(|key| self.entries.get(&key));
        recorded.and_then(|entry| entry.file).map(|(_, priority)| priority).unwrap_or_default()
    }
}
