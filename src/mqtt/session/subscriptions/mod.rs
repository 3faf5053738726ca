//! Every topic filter that somebody wants, and what the broker made of it. Does no I/O.
//!
//! Whoever wants a filter waits until the broker has answered; only then it counts. What the table and the broker have
//! in common is asked for one filter at a time: an entry whose filter is wanted and not with the broker is subscribed
//! to, and one that nobody wants any more is unsubscribed from.
//!
//! Where the broker tells by subscription identifiers which subscription a message is a copy for, each filter has a
//! subscription of its own. Where it does not, a filter that another one covers is carried by that one: two copies of
//! a message could not be told from two messages.
//!
//! Anybody may have a thousand filters that overlap, so that nothing here looks at each of them, or of their pairs, for
//! a message or for a change: `overlaps` and `kinds` know in a few steps which are concerned.

mod exchange;

mod due;
mod entry;
mod probation;
mod room;

mod kinds;
mod overlaps;

mod identifiers;
mod keys;

mod report;
mod routing;
mod waiter;
mod want;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::exchange::{Operation, Unasked};
pub use self::probation::{Breach, Culprit, Finding};
pub use self::report::Report;
pub use self::routing::Route;
pub use self::want::{Source, Standing, Want};

use self::entry::{AtBroker, Entry};
use self::exchange::{Handed, Link};
use self::keys::Keys;
use self::kinds::Kinds;
use self::overlaps::Overlaps;
use self::probation::Probation;
use self::waiter::Waiter;
use super::topic_buffer::Channel;
use crate::config::Subscription;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;

/// Names an entry for as long as it is there. Those of the configuration have the lowest.
pub type Key = usize;

/// What whoever waits is told: the granted QoS, where there is one, or why not.
pub type Answer = Result<u8, Refusal>;

/// How long a reader waits for a connection, which may be about to come, before it begins without one: only a broker
/// can refuse a filter.
const BEGINS_AFTER: Duration = Duration::from_secs(1);

/// The table. `R` is who waits for an answer.
pub struct Subscriptions<R> {
    entries: BTreeMap<Key, Entry<R>>,
    by_filter: HashMap<TopicFilter, Key>,
    by_slot: HashMap<u32, Key>,
    overlaps: Overlaps,
    kinds: Kinds,
    /// Entries of which it is not known that nothing is to be done about them.
    dirty: Keys,
    /// What was here before the connection, and of which the broker has not said anything on it.
    first: Keys,
    deadlines: BTreeSet<(Instant, Key)>,
    /// Operations that were handed over, in their order, and those whose packet identifier is known.
    handed_over: VecDeque<Handed>,
    asked: HashMap<u16, Handed>,
    /// The filter that is asked for alone.
    probation: Option<Probation>,
    /// How many were on this connection.
    asked_alone: usize,
    /// The one that is to be asked for before all others.
    suspect: Option<Key>,
    settled: Vec<(R, Answer)>,
    unasked: Vec<Unasked>,
    /// How often something was handed over.
    asks: u64,
    connection: Option<Link>,
    was_connected: bool,
    /// The broker keeps the session when a connection ends.
    is_kept: bool,
    /// Always finds a place.
    reserved: Option<TopicFilter>,
}

impl<R> Subscriptions<R> {
    /// With the filters of the configuration. `is_kept`: the broker keeps the session when a connection ends.
    pub fn new(file: &[Subscription], is_kept: bool) -> Self {
        let mut table = Self {
            entries: BTreeMap::new(),
            by_filter: HashMap::new(),
            by_slot: HashMap::new(),
            overlaps: Overlaps::default(),
            kinds: Kinds::default(),
            dirty: Keys::default(),
            first: Keys::default(),
            deadlines: BTreeSet::new(),
            handed_over: VecDeque::new(),
            asked: HashMap::new(),
            probation: None,
            asked_alone: 0,
            suspect: None,
            settled: Vec::new(),
            unasked: Vec::new(),
            asks: 0,
            connection: None,
            was_connected: false,
            is_kept,
            reserved: None,
        };
        for wanted in file {
            let key = table.key(&wanted.topic);
            table.change(key, |entry| entry.file = entry.file.or(Some((wanted.qos, wanted.priority))));
        }
        table
    }

    /// Keeps a place for a filter, however many others there are.
    pub fn reserve(&mut self, filter: Option<TopicFilter>) {
        self.reserved = filter;
    }

    /// Wants a filter: `waiter` is told when the broker has answered, or at the deadline; a reader is told of success
    /// too where there is no broker to ask. Nothing is wanted any more when the answer is a refusal.
    pub fn want(&mut self, filter: &TopicFilter, want: Want, (now, deadline): (Instant, Instant), waiter: R) {
        if want == Want::Unsubscribed && !self.by_filter.contains_key(filter) {
            return self.settled.push((waiter, Ok(0)));
        }
        if let Err(refusal) = self.may_want(filter, want) {
            return self.settled.push((waiter, Err(refusal)));
        }
        let key = self.key(filter);
        let Some(entry) = self.entries.get(&key) else { return };
        if let Some(granted) = entry.satisfies(want) {
            let has_identifiers = self.connection.is_none_or(|link| link.has_identifiers);
            self.change(key, |entry| entry.take_on(want, has_identifiers));
            self.dirty.set(key, true);
            return self.settled.push((waiter, Ok(granted)));
        }
        if let Some(refusal) = entry.is_left_out().filter(|_| want != Want::Unsubscribed) {
            return self.settled.push((waiter, Err(refusal)));
        }
        let begins = matches!(want, Want::Read { .. }).then(|| deadline.min(now + BEGINS_AFTER));
        self.change(key, |entry| {
            entry.waiters.push(Waiter { want, deadline, begins, told: waiter, asked: false, ever_asked: false });
            // asked again, though it was refused
            entry.renew = true;
        });
        self.deadlines.extend(begins.into_iter().chain([deadline]).map(|at| (at, key)));
        self.touch(key);
    }

    /// Has a channel for a filter that readers want. Returns which subscription to it will be the next: who joins now
    /// gets the retained messages of that one.
    pub fn open_channel(
        &mut self,
        filter: &TopicFilter,
        make: impl FnOnce() -> Arc<Channel>,
    ) -> Option<(Arc<Channel>, u32)> {
        let key = *self.by_filter.get(filter)?;
        let entry = self.entries.get(&key).filter(|entry| entry.is_read())?;
        let next = entry.generation + u32::from(entry.renew || entry.state == AtBroker::Absent);
        self.change(key, |entry| (entry.channel.get_or_insert_with(make).clone(), next))
    }

    /// A reader or an asker that was told of success has gone.
    pub fn leave(&mut self, filter: &TopicFilter, want: Want, now: Instant) {
        let Some(&key) = self.by_filter.get(filter) else { return };
        let until = now + self.linger(filter);
        if self.change(key, |entry| entry.leave(want, until)) == Some(true) {
            self.deadlines.insert((until, key));
        }
        self.touch(key);
    }

    /// Tells those whose deadline has come, and lets go of what was kept long enough.
    pub fn expire(&mut self, now: Instant) {
        self.end_probation(now);
        while let Some(&(deadline, key)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, key));
            let is_connected = self.connection.is_some();
            self.tell(key, |entry| entry.expire(now, is_connected));
            self.change(key, |entry| entry.try_again(now));
            self.touch(key);
            if self.connection.is_none() {
                self.tidy(key, None);
            }
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline).into_iter().chain(self.probation_ends()).min()
    }

    /// Tells everybody who waits that there is no more time.
    pub fn stop(&mut self) {
        for key in self.all() {
            self.tell(key, |entry| {
                let refusal = |ever_asked| if ever_asked { Refusal::Unknown } else { Refusal::Stopping };
                let told = entry.waiters.drain(..);
                told.map(|waiting| (waiting.told, Err(refusal(waiting.ever_asked)))).collect()
            });
        }
    }

    /// Those who are to be told since the last time, and what.
    pub fn take_settled(&mut self) -> Vec<(R, Answer)> {
        std::mem::take(&mut self.settled)
    }

    /// Every filter with what is known of it, those of the configuration first.
    pub fn standings(&self) -> Vec<Standing> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| {
                let carrier = self.carrier(*key).and_then(|carrier| self.entries.get(&carrier));
                entry.standing(carrier.map(|carrier| carrier.state))
            })
            .collect()
    }

    /// All channels.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.entries.values().filter_map(|entry| entry.channel.as_ref())
    }

    /// What a session that the broker keeps is to be told at the end: which filters of the configuration others have
    /// brought the messages of, and what is not in the configuration.
    pub fn to_leave(&self) -> (Vec<(TopicFilter, Qos)>, Vec<TopicFilter>) {
        let carried = self.entries.iter().filter(|(key, _)| self.carrier(**key).is_some());
        let of_file = carried.filter_map(|(_, entry)| Some((entry.filter.clone(), entry.file?.0))).collect();
        let foreign = self.entries.values().filter(|entry| entry.file.is_none() && entry.state.is_there());
        (of_file, foreign.filter(|_| self.is_kept).map(|entry| entry.filter.clone()).collect())
    }

    /// The shared filters that a session has which ends with its connection.
    pub fn groups(&self) -> Vec<TopicFilter> {
        let is_there = |entry: &&Entry<R>| entry.filter.is_shared() && entry.state.is_there() && !self.is_kept;
        self.entries.values().filter(is_there).map(|entry| entry.filter.clone()).collect()
    }

    fn all(&self) -> Vec<Key> {
        self.entries.keys().copied().collect()
    }

    /// The entry of a filter, a new one if there is none.
    fn key(&mut self, filter: &TopicFilter) -> Key {
        if let Some(key) = self.by_filter.get(filter) {
            return *key;
        }
        let key = self.overlaps.free_key();
        let slot = identifiers::free_slot(filter.as_str(), |slot| self.by_slot.contains_key(&slot));
        self.by_filter.insert(filter.clone(), key);
        self.by_slot.insert(slot, key);
        self.overlaps.insert(filter, key);
        self.entries.insert(key, Entry::new(filter.clone(), slot));
        key
    }

    /// Changes an entry, and keeps in mind of which kind it is now.
    fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut Entry<R>) -> T) -> Option<T> {
        let entry = self.entries.get_mut(&key)?;
        let result = change(entry);
        self.kinds.note(key, Some(entry));
        Some(result)
    }

    /// The same, where it settles something for those who wait.
    fn tell(&mut self, key: Key, change: impl FnOnce(&mut Entry<R>) -> Vec<(R, Answer)>) {
        let told = self.change(key, change);
        self.settled.extend(told.into_iter().flatten());
    }

    /// Something about an entry has changed; where filters carry each other, that concerns those with the broker that may
    /// carry it, those that it may carry, and those that wait for others to take their place.
    fn touch(&mut self, key: Key) {
        self.dirty.set(key, true);
        let Some(entry) = self.entries.get(&key).filter(|_| self.is_carrying()) else { return };
        let mut related = self.overlaps.wider(&entry.filter) & &(self.kinds.there.clone() | &self.kinds.asked);
        // one that is carried carries nothing itself
        if entry.state != AtBroker::Absent || self.carried(key).is_none() {
            related = related | &self.overlaps.narrower(&entry.filter);
        }
        self.dirty = std::mem::take(&mut self.dirty) | &related | &self.waiting();
    }

    /// What the broker has and nobody wants: it goes when others have taken its place.
    fn waiting(&self) -> Keys {
        self.kinds.granted[0].clone() - &self.kinds.wanted[0]
    }

    /// Settles what needs no broker, and forgets an entry that nobody wants.
    fn tidy(&mut self, key: Key, carrier: Option<Key>) {
        let granted = carrier.and_then(|carrier| self.entries.get(&carrier)?.granted());
        let is_connected = self.connection.is_some();
        self.tell(key, |entry| {
            let mut told = granted.map(|granted| entry.carried(granted)).unwrap_or_default();
            told.extend(entry.end_beside_readers());
            if entry.is_absent() && is_connected {
                told.extend(entry.unsubscribed(None));
            }
            if !entry.is_read() {
                entry.channel = None;
            }
            told
        });
        let Some(entry) = self.entries.get(&key).filter(|entry| entry.is_forgettable()) else { return };
        self.by_filter.remove(&entry.filter);
        self.by_slot.remove(&entry.slot);
        self.overlaps.remove(&entry.filter, key);
        self.kinds.note::<R>(key, None);
        self.dirty.set(key, false);
        self.first.set(key, false);
        self.forget_on_probation(key);
        self.entries.remove(&key);
    }
}

#[cfg(test)]
mod tests;
