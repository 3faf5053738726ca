//! To whom a message goes: each of those whose filter it matches, once, however many copies the broker sends.

use std::sync::Arc;

use super::identifiers;
use super::{AtBroker, Key, Subscriptions};
use crate::message::{Priority, Received};
use crate::mqtt::channel::{Channel, Kept};

/// To whom a message goes.
#[derive(Default)]
pub struct Route {
    /// The journal, if it is meant, and how urgent that is.
    pub journal: Option<Priority>,
    /// Readers; for a message that the broker had kept, those of them who have just come.
    pub channels: Vec<(Arc<Channel>, Option<Kept>)>,
    /// Whoever awaits an answer.
    pub is_answer: bool,
}

impl<R> Subscriptions<R> {
    /// To whom a message goes.
    pub fn route(&self, message: &Received) -> Route {
        let topic = String::from_utf8_lossy(&message.topic);
        let identifiers = &message.properties.subscription_identifiers;
        if identifiers.is_empty() {
            return self.route_by_topic(&topic, message.retain);
        }
        let mut route = Route::default();
        let hits: Vec<(Key, u32)> = identifiers.iter().filter_map(|identifier| self.find(*identifier)).collect();
        for (key, generation) in &hits {
            let Some(entry) = self.entries.get(key) else { continue };
            let is_for_all = entry.is_for_all(*generation);
            let kept = message.retain.then_some(Kept { generation: *generation, is_for_all });
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), kept)));
            route.is_answer |= entry.awaits_answers();
        }
        let recorded = hits.iter().find(|(key, generation)| {
            let entry = self.entries.get(key).filter(|entry| entry.is_recorded());
            entry.is_some_and(|entry| !message.retain || entry.records_retained(*generation))
                && self.recorder(&topic) == Some(*key)
        });
        route.journal = recorded.map(|_| self.priority(&topic));
        route
    }

    /// The broker does not tell for which subscription it sends a message.
    fn route_by_topic(&self, topic: &str, is_retained: bool) -> Route {
        let matching = || self.entries.values().filter(|entry| entry.filter.matches_name(topic));
        // what it had kept, it sends for the latest subscription that matches: the first of a connection is for all
        let latest = matching().filter(|entry| entry.state.is_there()).max_by_key(|entry| entry.asked_as);
        let latest = latest.filter(|entry| is_retained && !entry.is_for_all(entry.generation));
        let mut route = Route::default();
        if let Some(entry) = latest {
            let kept = Kept { generation: entry.generation, is_for_all: false };
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), Some(kept))));
            route.journal = entry.is_asked_to_record().then(|| self.priority(topic));
            return route;
        }
        let mut is_recorded = false;
        for entry in matching() {
            route.channels.extend(entry.channel.iter().map(|channel| (channel.clone(), None)));
            route.is_answer |= entry.awaits_answers();
            is_recorded |= entry.is_recorded();
        }
        route.journal = is_recorded.then(|| self.priority(topic));
        route
    }

    /// The entry with this subscription identifier, and how often it had been subscribed to.
    fn find(&self, identifier: u32) -> Option<(Key, u32)> {
        let entry = |slot| self.by_slot.get(&slot).and_then(|key| Some((*key, self.entries.get(key)?)));
        let (slot, generation) = identifiers::parse(identifier, |slot| entry(slot).map(|(_, entry)| entry.generation))?;
        entry(slot).map(|(key, _)| (key, generation))
    }

    /// Of all copies of a message the one for this entry is recorded: that with the best quality of service, and no
    /// shared one where there are others, as those may be sent to somebody else.
    fn recorder(&self, topic: &str) -> Option<Key> {
        let candidates = self.entries.iter().rev().filter(|(_, entry)| {
            entry.is_recorded() && !matches!(entry.state, AtBroker::Refused(_)) && entry.filter.matches_name(topic)
        });
        let best = candidates.max_by_key(|(_, entry)| (!entry.filter.is_shared(), entry.granted()));
        best.map(|(key, _)| *key)
    }

    /// The first filter that matches says how urgent a message is.
    fn priority(&self, topic: &str) -> Priority {
        let recorded = self.entries.values().find(|entry| entry.is_recorded() && entry.filter.matches_name(topic));
        recorded.and_then(|entry| entry.file).map(|(_, priority)| priority).unwrap_or_default()
    }
}
