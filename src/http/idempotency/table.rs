//! The table of idempotency keys: which request runs under each, or how it was answered. It has no I/O and no clock.

mod owners;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use self::owners::Owners;
use crate::outbox::{Answer, KeyHash, KeyRecord};

/// How many keys without effect are removed when one begins: those that are over are not all removed at once.
const REMOVED_AT_ONCE: usize = 16;

/// What is kept at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys.
    pub keys: usize,
    /// Bytes of all answers together.
    pub bytes: usize,
    /// Since the first request.
    pub time: Duration,
}

/// The keys of all owners.
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    entries: HashMap<KeyHash, Entry>,
    /// The settled keys by their numbers: the oldest first.
    settled: BTreeMap<u64, KeyHash>,
    owners: Owners,
    /// Keys that are no longer in the table, until they are taken.
    removed: Vec<KeyHash>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    record: KeyRecord,
    since: Instant,
    /// Differs for each request that was the first under the same key.
    number: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// There is an answer, of this version, or the process ended before there was one.
    Settled(u64),
}

/// What a request with a key is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// To publish: it is the first. The number identifies it together with the key.
    First(u64),
    /// To answer as the first request; `None` if nobody knows what became of that.
    Repeats(Option<Answer>),
    /// To try again later: the first request is not answered yet.
    Runs,
    /// Nothing: the key is that of another request.
    Differs,
    /// To try again later: there is no room for another key.
    Full,
}

impl Table {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            settled: BTreeMap::new(),
            owners: Owners::default(),
            removed: Vec::new(),
            next_number: 0,
        }
    }

    /// A request begins. `record` has no answer.
    pub fn begin(&mut self, key: KeyHash, record: KeyRecord, now: Instant) -> Begun {
        self.remove_old(now);
        if let Some(entry) = self.entries.get(&key) {
            if entry.state == State::Running || !self.is_over(entry, now) {
                return match entry {
                    entry if entry.record.request != record.request => Begun::Differs,
                    Entry { state: State::Running, .. } => Begun::Runs,
                    entry => Begun::Repeats(entry.record.answer.clone()),
                };
            }
            self.remove(&key);
        }
        if self.entries.len() >= self.limits.keys {
            let Some(oldest) = self.owners.oldest_of_most_keys(&record.owner) else { return Begun::Full };
            self.remove(&oldest);
        }
        Begun::First(self.insert(key, record, now, State::Running))
    }

    /// Adds a key of an earlier process, younger than all that are there. The oldest make room for it.
    pub fn load(&mut self, key: KeyHash, record: KeyRecord, since: Instant) {
        self.insert(key, record, since, State::Settled(0));
        while self.entries.len() > self.limits.keys && self.remove_oldest() {}
        self.make_room();
    }

    /// The first request was answered, or more is known of it. Returns what is to be kept, unless the key is gone, or a
    /// later version of the answer is there.
    pub fn answer(&mut self, key: &KeyHash, number: u64, version: u64, answer: Answer) -> Option<KeyRecord> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.number == number)?;
        if matches!(entry.state, State::Settled(present) if present >= version) {
            return None;
        }
        let before = bytes(&entry.record);
        entry.state = State::Settled(version);
        entry.record.answer = Some(answer);
        let record = entry.record.clone();
        self.owners.resize(&record.owner, before, bytes(&record));
        self.owners.settle(&record.owner, number, *key);
        self.settled.insert(number, *key);
        self.make_room();
        Some(record)
    }

    /// The first request certainly did nothing: the key is free again. Returns whether it was there.
    pub fn free(&mut self, key: &KeyHash, number: u64) -> bool {
        let is_there = self.entries.get(key).is_some_and(|entry| entry.number == number);
        is_there && self.forget(key)
    }

    /// The same, unless the request was answered.
    pub fn abandon(&mut self, key: &KeyHash, number: u64) -> bool {
        let runs = self.entries.get(key).is_some_and(|entry| entry.state == State::Running);
        runs && self.free(key, number)
    }

    /// The keys that were removed for lack of room, or since their time was over.
    pub fn take_removed(&mut self) -> Vec<KeyHash> {
        std::mem::take(&mut self.removed)
    }

    /// Keys, and bytes of answers.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.owners.bytes())
    }

    fn insert(&mut self, key: KeyHash, record: KeyRecord, since: Instant, state: State) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.owners.add(&record.owner, bytes(&record));
        if state != State::Running {
            self.owners.settle(&record.owner, number, key);
            self.settled.insert(number, key);
        }
        self.entries.insert(key, Entry { record, since, number, state });
        number
    }

    fn is_over(&self, entry: &Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.since) >= self.limits.time
    }

    /// Removes some of those whose time is over.
    fn remove_old(&mut self, now: Instant) {
        for _ in 0..REMOVED_AT_ONCE {
            let oldest = self.settled.values().next().and_then(|key| self.entries.get(key));
            if !oldest.is_some_and(|entry| self.is_over(entry, now)) {
                return;
            }
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let oldest = self.settled.values().next().copied();
        oldest.is_some_and(|key| self.remove(&key))
    }

    /// Removes answers until all of them are within the limit.
    fn make_room(&mut self) {
        while self.owners.bytes() > self.limits.bytes {
            let Some(oldest) = self.owners.oldest_of_most_bytes() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &KeyHash) -> bool {
        self.removed.push(*key);
        self.forget(key)
    }

    fn forget(&mut self, key: &KeyHash) -> bool {
        let Some(Entry { record, number, .. }) = self.entries.remove(key) else { return false };
        self.settled.remove(&number);
        self.owners.remove(&record.owner, number, bytes(&record));
        true
    }
}

/// Bytes of the answer.
fn bytes(record: &KeyRecord) -> usize {
    let location = |answer: &Answer| answer.location.as_ref().map_or(0, |location| location.len());
    record.answer.as_ref().map_or(0, |answer| answer.body.len() + location(answer))
}

#[cfg(test)]
mod tests;
