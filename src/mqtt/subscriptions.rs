//! Every topic filter that somebody wants, and what the broker made of it. Does no I/O.
//!
//! Whoever wants a filter waits until the broker has answered; only then it counts. What the table and the broker have
//! in common is asked for one filter at a time: an entry whose filter is wanted and not with the broker is subscribed
//! to, and one that nobody wants any more is unsubscribed from.
//!
//! Where the broker tells by subscription identifiers which subscription a message is a copy for, each filter has a
//! subscription of its own. Where it does not, a filter that another one covers is carried by that one: two copies of
//! a message could not be told from two messages.

mod due;
mod entry;
mod identifiers;
mod report;
mod routing;
mod want;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::report::Report;
pub use self::routing::Route;
pub use self::want::{Source, Standing, Want};

use self::due::Due;
use self::entry::{AtBroker, Entry, Waiter};
use self::identifiers::identifier;
use super::channel::Channel;
use super::outcome::Refusal;
use super::pipe::Limits;
use crate::config::Subscription;
use crate::message::{Qos, TopicFilter};

/// Filters that may be wanted at run time for the journal, and as many for readers and askers.
pub const MAX_FILTERS: usize = 1000;
/// How long a filter is kept when its last reader has gone: most come again, and want to know what they missed.
const LINGER: Duration = Duration::from_secs(30);
/// The reason code for a packet that the broker would not take (MQTT 5, 2.4).
const PACKET_TOO_LARGE: u8 = 149;

/// Names an entry for as long as it is there.
pub type Key = u64;

/// What whoever waits is told: the granted QoS, where there is one, or why not.
pub type Answer = Result<u8, Refusal>;

/// The table. `R` is who waits for an answer.
pub struct Subscriptions<R> {
    /// In the order in which they came, those of the configuration first.
    entries: BTreeMap<Key, Entry<R>>,
    by_filter: HashMap<TopicFilter, Key>,
    by_slot: HashMap<u32, Key>,
    /// Entries of which it is not known that nothing is to be done about them.
    dirty: BTreeSet<Key>,
    /// What was here before the connection, and of which the broker has not said anything on it.
    first: BTreeSet<Key>,
    deadlines: BTreeSet<(Instant, Key)>,
    /// Operations that were handed over, in their order, and those whose packet identifier is known.
    handed_over: VecDeque<Handed>,
    asked: HashMap<u16, Handed>,
    settled: Vec<(R, Answer)>,
    next_key: Key,
    /// How often something was handed over.
    asks: u64,
    connection: Option<Link>,
    /// The broker keeps the session when a connection ends.
    is_kept: bool,
    /// Always finds a place.
    reserved: Option<TopicFilter>,
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy)]
struct Link {
    has_identifiers: bool,
    /// Bytes.
    max_packet_size: usize,
}

/// Something that is to be asked of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// With an identifier, for a single filter.
    Subscribe(Vec<(TopicFilter, Qos)>, Option<u32>),
    /// From one filter.
    Unsubscribe(TopicFilter),
}

/// Something that was asked.
struct Handed {
    keys: Vec<Key>,
    since: Instant,
    /// For whoever counts packet identifiers.
    turn: u64,
}

impl<R> Subscriptions<R> {
    /// With the filters of the configuration. `is_kept`: the broker keeps the session when a connection ends.
    pub fn new(file: &[Subscription], is_kept: bool) -> Self {
        let mut table = Self {
            entries: BTreeMap::new(),
            by_filter: HashMap::new(),
            by_slot: HashMap::new(),
            dirty: BTreeSet::new(),
            first: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            handed_over: VecDeque::new(),
            asked: HashMap::new(),
            settled: Vec::new(),
            next_key: 0,
            asks: 0,
            connection: None,
            is_kept,
            reserved: None,
        };
        for wanted in file {
            let key = table.key(&wanted.topic);
            if let Some(entry) = table.entries.get_mut(&key) {
                entry.file.get_or_insert((wanted.qos, wanted.priority));
            }
        }
        table
    }

    /// Keeps a place for a filter, however many others there are.
    pub fn reserve(&mut self, filter: Option<TopicFilter>) {
        self.reserved = filter;
    }

    /// Wants a filter: `waiter` is told when the broker has answered, or at the deadline. Nothing is wanted any more
    /// when the answer is a refusal.
    pub fn want(&mut self, filter: &TopicFilter, want: Want, deadline: Instant, waiter: R) {
        if want == Want::Unsubscribed && !self.by_filter.contains_key(filter) {
            return self.settled.push((waiter, Ok(0)));
        }
        if let Err(refusal) = self.may_want(filter, want) {
            return self.settled.push((waiter, Err(refusal)));
        }
        let key = self.key(filter);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let has_identifiers = self.connection.is_none_or(|link| link.has_identifiers);
        if let Some(granted) = entry.satisfies(want) {
            entry.take_on(want, has_identifiers);
            self.dirty.insert(key);
            return self.settled.push((waiter, Ok(granted)));
        }
        entry.waiters.push(Waiter { want, deadline, told: waiter, asked: false, ever_asked: false });
        // asked again, though it was refused
        entry.renew = true;
        self.deadlines.insert((deadline, key));
        self.touch(key);
    }

    /// Has a channel for a filter that is wanted. Returns which subscription to it will be the next: who joins now gets
    /// the retained messages of that one.
    pub fn open_channel(
        &mut self,
        filter: &TopicFilter,
        make: impl FnOnce() -> Arc<Channel>,
    ) -> Option<(Arc<Channel>, u32)> {
        let entry = self.entries.get_mut(self.by_filter.get(filter)?)?;
        let next = entry.generation + u32::from(entry.renew || entry.state == AtBroker::Absent);
        Some((entry.channel.get_or_insert_with(make).clone(), next))
    }

    /// A reader or an asker that was told of success has gone.
    pub fn leave(&mut self, filter: &TopicFilter, want: Want, now: Instant) {
        let Some(&key) = self.by_filter.get(filter) else { return };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match want {
            Want::Read { .. } => entry.readers = entry.readers.saturating_sub(1),
            Want::Answers => entry.askers = entry.askers.saturating_sub(1),
            Want::Recorded(_) | Want::Unsubscribed => {}
        }
        if entry.readers + entry.askers == 0 {
            let until = now + LINGER;
            entry.lingers_until = Some(until);
            self.deadlines.insert((until, key));
        }
        self.touch(key);
    }

    /// A connection takes SUBSCRIBE from now on.
    pub fn connected(&mut self, session_present: bool, limits: Limits) {
        let max_packet_size = usize::try_from(limits.max_packet_size).unwrap_or(usize::MAX);
        self.connection = Some(Link { has_identifiers: limits.subscription_identifiers, max_packet_size });
        for entry in self.entries.values_mut() {
            entry.connected(session_present);
        }
        self.dirty = self.entries.keys().copied().collect();
        self.first = self.dirty.clone();
    }

    /// The connection has ended.
    pub fn disconnected(&mut self) {
        self.connection = None;
        self.handed_over.clear();
        self.asked.clear();
        self.first.clear();
        for entry in self.entries.values_mut() {
            self.settled.extend(entry.disconnected(self.is_kept));
        }
        self.dirty = self.entries.keys().copied().collect();
    }

    /// What is to be asked of the broker next. Asked again it is the same, until [`Self::hand_over`].
    pub fn next(&mut self) -> Option<Operation> {
        let link = self.connection?;
        loop {
            let key = *self.dirty.first()?;
            match self.due(key) {
                Due::Nothing => {
                    self.dirty.remove(&key);
                    if !self.entries.get(&key).is_some_and(Entry::is_asked) {
                        self.first.remove(&key);
                    }
                    self.tidy(key);
                }
                // the library would end the connection over it
                Due::Subscribe if self.packet_size(key) > link.max_packet_size => {
                    let entry = self.entries.get_mut(&key)?;
                    entry.ask(Some(Qos::AtMostOnce), self.asks);
                    self.settled.extend(entry.subscribed(Some(Err(PACKET_TOO_LARGE))));
                }
                Due::Subscribe if !link.has_identifiers => {
                    return Some(Operation::Subscribe(self.together(link.max_packet_size), None));
                }
                Due::Subscribe => {
                    let entry = self.entries.get(&key)?;
                    let identifier = identifier(entry.slot, entry.generation + 1);
                    return Some(Operation::Subscribe(vec![self.wanted(key)?], Some(identifier)));
                }
                Due::Unsubscribe => return Some(Operation::Unsubscribe(self.entries.get(&key)?.filter.clone())),
            }
        }
    }

    /// The operation of [`Self::next`] was handed over; its packet identifier belongs to this turn.
    pub fn hand_over(&mut self, operation: &Operation, turn: u64, now: Instant) {
        let filters: Vec<(&TopicFilter, Option<Qos>)> = match operation {
            Operation::Subscribe(filters, _) => filters.iter().map(|(filter, qos)| (filter, Some(*qos))).collect(),
            Operation::Unsubscribe(filter) => vec![(filter, None)],
        };
        let mut keys = Vec::with_capacity(filters.len());
        self.asks += 1;
        for (filter, qos) in filters {
            let Some(&key) = self.by_filter.get(filter) else { continue };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.ask(qos, self.asks);
                keys.push(key);
            }
            self.dirty.remove(&key);
        }
        // what it replaces may go now
        for key in &keys {
            self.touch(*key);
        }
        self.handed_over.push_back(Handed { keys, since: now, turn });
    }

    /// The oldest operation without a packet identifier has this one.
    pub fn written(&mut self, packet_identifier: u16) {
        if let Some(handed) = self.handed_over.pop_front() {
            self.asked.insert(packet_identifier, handed);
        }
    }

    /// A SUBACK came, with an answer for each of its filters in their order (MQTT 5, 3.9.3-1). Returns the turn of its
    /// packet identifier, and what there is to be said.
    pub fn subscribed(&mut self, packet_identifier: u16, answers: &[Result<u8, u8>]) -> Option<(u64, Vec<Report>)> {
        let handed = self.asked.remove(&packet_identifier)?;
        let mut reports = Vec::new();
        for (position, key) in handed.keys.iter().enumerate() {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let answer = answers.get(position).copied();
            let (qos, is_passing) = (entry.asked_qos(), !entry.is_asked_to_record());
            let told = entry.subscribed(answer);
            self.first.remove(key);
            reports.push(Report { filter: entry.filter.clone(), qos, answer, is_passing });
            self.settled.extend(told);
            self.touch(*key);
        }
        Some((handed.turn, reports))
    }

    /// An UNSUBACK came, with the reason code of a failure. Returns the turn of its packet identifier.
    pub fn unsubscribed(&mut self, packet_identifier: u16, failure: Option<u8>) -> Option<u64> {
        let handed = self.asked.remove(&packet_identifier)?;
        for key in &handed.keys {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let told = entry.unsubscribed(failure);
            self.first.remove(key);
            self.settled.extend(told);
            self.touch(*key);
        }
        Some(handed.turn)
    }

    /// Since when the oldest unanswered operation has been with the connection.
    pub fn oldest_asked(&self) -> Option<Instant> {
        self.handed_over.iter().chain(self.asked.values()).map(|handed| handed.since).min()
    }

    /// Whether the broker has answered for all that was wanted when the connection came about. What came since holds up
    /// nobody.
    pub fn is_settled(&mut self) -> bool {
        self.next();
        self.first.is_empty()
    }

    /// Tells those whose deadline has come, and lets go of what was kept long enough.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, key)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, key));
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let told = entry.expire(now);
            self.settled.extend(told);
            self.touch(key);
            if self.connection.is_none() {
                self.tidy(key);
            }
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Tells everybody who waits that there is no more time.
    pub fn stop(&mut self) {
        for entry in self.entries.values_mut() {
            self.settled.extend(entry.waiters.drain(..).map(|waiting| {
                let refusal = if waiting.ever_asked { Refusal::Unknown } else { Refusal::Stopping };
                (waiting.told, Err(refusal))
            }));
        }
    }

    /// Those who are to be told since the last time, and what.
    pub fn take_settled(&mut self) -> Vec<(R, Answer)> {
        std::mem::take(&mut self.settled)
    }

    /// Every filter with what is known of it, in the order in which they came.
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

    /// The entry of a filter, a new one if there is none.
    fn key(&mut self, filter: &TopicFilter) -> Key {
        if let Some(key) = self.by_filter.get(filter) {
            return *key;
        }
        let key = self.next_key;
        self.next_key += 1;
        let slot = identifiers::free_slot(filter.as_str(), |slot| self.by_slot.contains_key(&slot));
        self.by_filter.insert(filter.clone(), key);
        self.by_slot.insert(slot, key);
        self.entries.insert(key, Entry::new(filter.clone(), slot));
        key
    }

    /// Something about an entry has changed; where filters carry each other, that concerns those that may carry it, those
    /// that it may carry, and those that wait for others to take their place.
    fn touch(&mut self, key: Key) {
        self.dirty.insert(key);
        let Some(entry) = self.entries.get(&key) else { return };
        if self.connection.is_some_and(|link| !link.has_identifiers) {
            let is_concerned = |other: &Entry<R>| {
                let waits = other.granted().is_some() && other.wanted().is_none();
                waits || entry.can_cover(other) || other.can_cover(entry)
            };
            let concerned = self.entries.iter().filter(|(_, other)| is_concerned(other));
            self.dirty.extend(concerned.map(|(key, _)| *key));
        }
    }

    /// Settles what needs no broker, and forgets an entry that nobody wants.
    fn tidy(&mut self, key: Key) {
        let carried = self.carrier(key).and_then(|carrier| self.entries.get(&carrier)?.granted());
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if let Some(granted) = carried {
            let told = entry.carried(granted);
            self.settled.extend(told);
        }
        self.settled.extend(entry.end_beside_readers());
        if entry.is_absent() && self.connection.is_some() {
            let told = entry.unsubscribed(None);
            self.settled.extend(told);
        }
        let Some(entry) = self.entries.get(&key).filter(|entry| entry.is_forgettable()) else { return };
        self.by_filter.remove(&entry.filter);
        self.by_slot.remove(&entry.slot);
        self.entries.remove(&key);
        self.dirty.remove(&key);
    }
}

#[cfg(test)]
mod tests;
