//! Where a received message goes: to everybody whose filter matches, once, however many copies the broker sends.

use std::sync::Arc;

use super::Subscriptions;
use super::entry::Entry;
use super::identifiers;
use super::index::{Key, KeySet};
use crate::message::{Priority, Received};
use crate::metrics::Stray;
use crate::mqtt::session::topic_buffer::{Retained, TopicBuffer};

/// Where a received message goes.
#[derive(Default)]
pub struct Route {
    /// To the journal, with this priority.
    pub journal: Option<Priority>,
    /// To readers. A retained message goes only to those that joined with the subscription it was sent for, or to all.
    pub buffers: Vec<(Arc<TopicBuffer>, Option<Retained>)>,
    /// To a requester.
    pub is_response: bool,
    /// It goes nowhere, and the broker should not have sent it.
    pub stray: Option<Stray>,
}

impl Route {
    fn nowhere(stray: Stray) -> Self {
        Self { stray: Some(stray), ..Self::default() }
    }
}

impl Subscriptions {
    /// Where a message goes.
    pub fn route(&mut self, message: &Received) -> Route {
        if message.topic.iter().any(|byte| matches!(byte, b'+' | b'#')) {
            return Route::nowhere(Stray::WildcardTopic);
        }
        let matching = self.index.filters.matching(&String::from_utf8_lossy(&message.topic));
        let identifiers = &message.properties.subscription_identifiers;
        if matching.is_empty() {
            return Route::nowhere(Stray::UnaskedTopic);
        }
        if identifiers.is_empty() {
            return self.route_by_topic(&matching, message);
        }
        // unless one of them is known
        let mut route = Route::nowhere(Stray::UnknownSubscription);
        let recorder = self.recorder(&matching);
        for (key, entry, generation) in identifiers.iter().filter_map(|identifier| self.find(*identifier)) {
            route.stray = None;
            let is_for_all = entry.is_for_all(generation);
            let retained = message.retain.then_some(Retained { generation, is_for_all });
            route.buffers.extend(entry.buffer.iter().map(|buffer| (buffer.clone(), retained)));
            route.is_response |= entry.awaits_responses();
            if recorder == Some(key) && (!message.retain || entry.records_retained(generation)) {
                route.journal = Some(self.priority(&matching));
            }
        }
        route
    }

    /// The broker does not tell for which subscription it sends a message.
    fn route_by_topic(&mut self, matching: &KeySet, message: &Received) -> Route {
        let mut route = Route::default();
        let own = std::str::from_utf8(&message.topic).ok().and_then(|topic| self.by_filter.get(topic).copied());
        let is_first = own.and_then(|key| self.entries.get_mut(&key)).is_some_and(Entry::take_first);
        // it sends a retained message for the latest subscription that matches; that of the first one on a connection
        // is for all
        let latest = if message.retain { self.latest(matching) } else { None };
        // the next SUBSCRIBE may have been sent before it came
        if let Some((key, entry)) = latest.filter(|(_, entry)| !is_first && !entry.is_for_all(entry.generation)) {
            let retained = Retained { generation: entry.generation, is_for_all: false };
            route.buffers.extend(entry.buffer.iter().map(|buffer| (buffer.clone(), Some(retained))));
            route.journal = entry.is_subscribed_to_record().then(|| self.priority(matching));
            // or the SUBSCRIBE of a wider filter
            let fetching = own.filter(|own| *own != key).and_then(|own| self.entries.get(&own)?.buffer.clone());
            route.buffers.extend(fetching.map(|buffer| (buffer, Some(Retained::FETCHED))));
            return route;
        }
        let readers = matching.clone().and(&self.index.read);
        for entry in readers.iter().filter_map(|key| self.entries.get(&key)) {
            route.buffers.extend(entry.buffer.iter().map(|buffer| (buffer.clone(), None)));
            route.is_response |= entry.awaits_responses();
        }
        let is_recorded = matching.first_in(&self.index.recorded).is_some();
        route.journal = is_recorded.then(|| self.priority(matching));
        route
    }

    /// The one of these that was subscribed to last.
    fn latest(&self, of: &KeySet) -> Option<(Key, &Entry)> {
        let entries = of.iter().filter_map(|key| Some((key, self.entries.get(&key)?)));
        let subscribed = entries.filter(|(_, entry)| entry.state.may_be_subscribed());
        subscribed.max_by_key(|(_, entry)| entry.last_subscribe)
    }

    /// The entry of a subscription identifier, and the generation: how often the filter had been subscribed to.
    fn find(&self, identifier: u32) -> Option<(Key, &Entry, u32)> {
        let key = *self.by_slot.get(&identifiers::slot(identifier))?;
        let entry = self.entries.get(&key)?;
        Some((key, entry, identifiers::generation(identifier, entry.generation)))
    }

    /// Which copy of a message is recorded: that for the filter with the best quality of service. A shared one counts
    /// only where there are no others, as its copies may be sent to another client.
    fn recorder(&self, matching: &KeySet) -> Option<Key> {
        let recorded = matching.clone().and(&self.index.recorded).without(&self.index.refused);
        let own = recorded.clone().without(&self.index.shared);
        self.index.best_granted(if own.is_empty() { &recorded } else { &own })
    }

    /// The priority of a message is that of the first filter that matches.
    fn priority(&self, matching: &KeySet) -> Priority {
        let recorded = matching.first_in(&self.index.recorded).and_then(|key| self.entries.get(&key));
        recorded.and_then(|entry| entry.file).map(|(_, priority)| priority).unwrap_or_default()
    }
}
