//! The table of topic filters: who is interested in each, and whether the broker has granted it.
//!
//! A caller waits until the broker has answered. The table compares what is wanted with what the broker has, one filter
//! at a time: an entry that is wanted and not with the broker is subscribed to, and one that is no longer wanted is
//! unsubscribed from.
//!
//! With subscription identifiers (MQTT 5) each filter has its own subscription, and the broker tells for which one it
//! sends a copy of a message. Without them two copies could not be told from two messages, so a filter that another one
//! covers is carried by that one.
//!
//! A client may add a thousand filters that overlap. So neither a message nor a change may cost a look at each of them
//! or at their pairs: the `index` finds those that are concerned in a few steps.

mod filter_status;
mod interest;
mod waiter;

mod entry;
mod index;
mod quota;

mod operation;
mod plan;

mod exchange;
mod probation;

mod identifiers;
mod report;
mod routing;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::filter_status::{FilterStatus, Source};
pub use self::interest::Interest;
pub use self::operation::Operation;
pub use self::probation::{Breach, Culprit, Finding};
pub use self::report::{Report, log_stray};
pub use self::routing::Route;
pub use self::waiter::{Answer, Caller};

use self::entry::{BrokerState, Entry};
use self::index::{Index, Key, KeySet};
use self::operation::{Link, Pending};
use self::probation::Probation;
use self::waiter::Waiter;
use super::topic_buffer::TopicBuffer;
use crate::config::Subscription;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// How long a reader waits for a connection before it begins without one: only a broker can refuse a filter.
const BEGINS_AFTER: Duration = Duration::from_secs(1);

/// The table.
#[derive(Default)]
pub struct Subscriptions {
    entries: BTreeMap<Key, Entry>,
    by_filter: HashMap<TopicFilter, Key>,
    by_slot: HashMap<u32, Key>,
    index: Index,
    /// Entries that may need an operation.
    dirty: KeySet,
    /// Entries from before the connection for which the broker has not answered on it.
    initial: KeySet,
    deadlines: BTreeSet<(Instant, Key)>,
    /// Operations that were handed over, in their order, and those whose packet identifier is known.
    handed_over: VecDeque<Pending>,
    sent: HashMap<u16, Pending>,
    /// The filter that is tried alone.
    probation: Option<Probation>,
    /// How many were tried alone on this connection.
    tried_alone: usize,
    /// The filter that is to be subscribed to before all others.
    suspect: Option<Key>,
    settled: Vec<(Caller, Answer)>,
    /// How many operations were handed over.
    operations: u64,
    connection: Option<Link>,
    /// How many connections took SUBSCRIBE.
    connections: u64,
    /// The broker keeps the session when a connection ends.
    is_kept: bool,
    /// This filter is outside the quota.
    reserved: Option<TopicFilter>,
}

impl Subscriptions {
    /// With the filters of the configuration. `is_kept`: the broker keeps the session when a connection ends.
    pub fn new(file: &[Subscription], is_kept: bool) -> Self {
        let mut table = Self { is_kept, ..Self::default() };
        for wanted in file {
            let key = table.key(&wanted.topic);
            table.change(key, |entry| entry.file = entry.file.or(Some((wanted.qos, wanted.priority))));
        }
        table
    }

    /// Exempts a filter from the quota.
    pub fn reserve(&mut self, filter: Option<TopicFilter>) {
        self.reserved = filter;
    }

    /// Answers a caller that is not registered.
    pub fn reject(&mut self, caller: Caller, refusal: Refusal) {
        self.settled.push((caller, Err(refusal)));
    }

    /// Registers an interest in a filter. The caller gets the broker's answer, or a refusal at the deadline; a reader
    /// also succeeds where there is no broker. A refusal ends the interest.
    pub fn register(
        &mut self,
        filter: &TopicFilter,
        interest: Interest,
        (now, deadline): (Instant, Instant),
        caller: Caller,
    ) {
        if interest == Interest::Unsubscribe && !self.by_filter.contains_key(filter) {
            return self.settled.push((caller, Ok(0)));
        }
        if let Err(refusal) = self.check(filter, interest) {
            return self.reject(caller, refusal);
        }
        let key = self.key(filter);
        let Some(entry) = self.entries.get(&key) else { return };
        if let Some(granted) = entry.satisfies(interest) {
            let has_identifiers = self.connection.is_none_or(|link| link.has_identifiers);
            self.change(key, |entry| entry.take_on(interest, has_identifiers));
            self.dirty.set(key, true);
            return self.settled.push((caller, Ok(granted)));
        }
        if let Some(refusal) = entry.is_left_out().filter(|_| interest != Interest::Unsubscribe) {
            return self.reject(caller, refusal);
        }
        let begins = matches!(interest, Interest::Read { .. }).then(|| deadline.min(now + BEGINS_AFTER));
        self.change(key, |entry| {
            entry.waiters.push(Waiter { interest, deadline, begins, caller, sent: false, ever_sent: false });
            // even where the broker has refused it
            entry.renew = true;
        });
        self.deadlines.extend(begins.into_iter().chain([deadline]).map(|at| (at, key)));
        self.touch(key);
    }

    /// The buffer of a filter that readers are interested in. Also returns the generation of its next subscription,
    /// whose retained messages are for a reader that joins now.
    pub fn open_buffer(
        &mut self,
        filter: &TopicFilter,
        make: impl FnOnce() -> Arc<TopicBuffer>,
    ) -> Option<(Arc<TopicBuffer>, u32)> {
        let key = *self.by_filter.get(filter)?;
        let entry = self.entries.get(&key).filter(|entry| entry.is_read())?;
        let next = entry.generation + u32::from(entry.renew || entry.state == BrokerState::Absent);
        self.change(key, |entry| (entry.buffer.get_or_insert_with(make).clone(), next))
    }

    /// The number of the connection, if the broker has granted a filter on it, or a wider one that carries it.
    pub fn connection_of(&self, filter: &TopicFilter) -> Option<u64> {
        let key = *self.by_filter.get(filter)?;
        let granted = self.entries.get(&key)?.state.granted().or_else(|| self.carrier_grant(key));
        granted.map(|_| self.connections)
    }

    /// A reader or requester whose registration succeeded has left.
    pub fn leave(&mut self, filter: &TopicFilter, interest: Interest, now: Instant) {
        let Some(&key) = self.by_filter.get(filter) else { return };
        let until = now + self.linger(filter);
        if self.change(key, |entry| entry.leave(interest, until)) == Some(true) {
            self.deadlines.insert((until, key));
        }
        self.touch(key);
    }

    /// Settles callers whose deadline has come, and ends lingering and pauses that are over.
    pub fn expire(&mut self, now: Instant) {
        self.end_probation(now);
        while let Some(&(deadline, key)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, key));
            let is_connected = self.connection.is_some();
            self.settle(key, |entry| entry.expire(now, is_connected));
            self.change(key, |entry| entry.try_again(now));
            self.touch(key);
            if self.connection.is_none() {
                self.tidy(key);
            }
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline).into_iter().chain(self.probation_ends()).min()
    }

    /// Refuses every caller that waits, because there is no more time.
    pub fn stop(&mut self) {
        for key in self.all() {
            self.settle(key, |entry| {
                let refusal = |ever_sent| if ever_sent { Refusal::Unknown } else { Refusal::Stopping };
                let waiters = entry.waiters.drain(..);
                waiters.map(|waiter| (waiter.caller, Err(refusal(waiter.ever_sent)))).collect()
            });
        }
    }

    /// The answers since the last call, with their callers.
    pub fn take_settled(&mut self) -> Vec<(Caller, Answer)> {
        std::mem::take(&mut self.settled)
    }

    /// The status of every filter, those of the configuration first.
    pub fn statuses(&self) -> Vec<FilterStatus> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| {
                let carrier = self.carrier(*key).and_then(|carrier| self.entries.get(&carrier));
                entry.status(carrier.map(|carrier| carrier.state))
            })
            .collect()
    }

    /// All topic buffers.
    pub fn buffers(&self) -> impl Iterator<Item = &Arc<TopicBuffer>> {
        self.entries.values().filter_map(|entry| entry.buffer.as_ref())
    }

    /// What a kept session must be left with at a stop: the filters of the configuration that others carried are to be
    /// subscribed to, and those that are not in the configuration are to be unsubscribed from.
    pub fn to_leave(&self) -> (Vec<(TopicFilter, Qos)>, Vec<TopicFilter>) {
        let carried = self.entries.iter().filter(|(key, _)| self.carrier(**key).is_some());
        let of_file = carried.filter_map(|(_, entry)| Some((entry.filter.clone(), entry.file?.0))).collect();
        let foreign = self.entries.values().filter(|entry| entry.file.is_none() && entry.state.may_be_subscribed());
        (of_file, foreign.filter(|_| self.is_kept).map(|entry| entry.filter.clone()).collect())
    }

    /// The shared filters of a session that ends with its connection.
    pub fn groups(&self) -> Vec<TopicFilter> {
        let is_group = |entry: &&Entry| entry.filter.is_shared() && entry.state.may_be_subscribed() && !self.is_kept;
        self.entries.values().filter(is_group).map(|entry| entry.filter.clone()).collect()
    }

    fn all(&self) -> Vec<Key> {
        self.entries.keys().copied().collect()
    }

    /// The key of a filter, with a new entry if there is none.
    fn key(&mut self, filter: &TopicFilter) -> Key {
        if let Some(key) = self.by_filter.get(filter) {
            return *key;
        }
        let key = self.index.filters.all.first_free();
        let slot = identifiers::free_slot(filter.as_str(), |slot| self.by_slot.contains_key(&slot));
        self.by_filter.insert(filter.clone(), key);
        self.by_slot.insert(slot, key);
        self.index.filters.set(filter, key, true);
        self.entries.insert(key, Entry::new(filter.clone(), slot));
        key
    }

    /// Changes an entry and its properties in the index.
    fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.get_mut(&key)?;
        let result = change(entry);
        self.index.update(key, Some(entry));
        Some(result)
    }

    /// Changes an entry where that settles callers.
    fn settle(&mut self, key: Key, change: impl FnOnce(&mut Entry) -> Vec<(Caller, Answer)>) {
        let settled = self.change(key, change);
        self.settled.extend(settled.into_iter().flatten());
    }

    /// An entry has changed. Where filters carry each other, that also concerns those that may carry it, those that it
    /// may carry, and those that stay with the broker only until others are there.
    fn touch(&mut self, key: Key) {
        self.dirty.set(key, true);
        let Some(entry) = self.entries.get(&key).filter(|_| self.is_carrying()) else { return };
        let index = &self.index;
        let mut related = index.filters.wider(&entry.filter).and(&index.subscribed.clone().or(&index.subscribing));
        // an entry that is carried carries none itself
        if entry.state != BrokerState::Absent || self.carrier_grant(key).is_none() {
            related = related.or(&index.filters.narrower(&entry.filter));
        }
        self.dirty = std::mem::take(&mut self.dirty).or(&related).or(&self.replaceable());
    }

    /// What the broker has and is no longer wanted: it is unsubscribed from when others have taken its place.
    fn replaceable(&self) -> KeySet {
        self.index.granted_at_least[0].clone().without(&self.index.wanted_at_least[0])
    }

    /// Settles what needs no broker, and removes an entry that is no longer needed.
    fn tidy(&mut self, key: Key) {
        let granted = self.carrier_grant(key);
        let is_connected = self.connection.is_some();
        self.settle(key, |entry| {
            let mut settled = granted.map(|granted| entry.carried(granted)).unwrap_or_default();
            settled.extend(entry.end_beside_readers());
            if entry.is_absent() && is_connected {
                settled.extend(entry.unsubscribed(None));
            }
            if !entry.is_read() {
                entry.buffer = None;
            }
            settled
        });
        let Some(entry) = self.entries.get(&key).filter(|entry| entry.is_removable()) else { return };
        self.by_filter.remove(&entry.filter);
        self.by_slot.remove(&entry.slot);
        self.index.remove(key, &entry.filter);
        self.dirty.set(key, false);
        self.initial.set(key, false);
        self.forget_on_probation(key);
        self.entries.remove(&key);
    }
}

#[cfg(test)]
mod tests;
