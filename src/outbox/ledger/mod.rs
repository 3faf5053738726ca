//! What is in the outbox, without the messages themselves: which ones are to be sent, which ones are due, and how many
//! there are. Does no I/O.

mod entry;
mod listing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub use self::entry::{Entry, Phase};

use super::store::Brief;
use super::view::State;
use super::{NotStored, Settlement};

/// Messages and bytes of the payloads that are with the connection at a time. More would not make it faster, and these
/// are in memory.
const MAX_GIVEN: usize = 500;
const MAX_GIVEN_BYTES: u64 = 8 * 1024 * 1024;

/// How long a message rests that connections ended over, three times. After these it is refused.
const RESTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// What the configuration allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages that are not settled, and as many that are.
    pub messages: usize,
    /// Bytes of those that are not settled.
    pub bytes: u64,
    /// How long outcomes can be asked for.
    pub keep: Duration,
}

/// What one token or hook has in the outbox.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    messages: usize,
    bytes: u64,
}

/// All messages by their sequence numbers.
pub struct Ledger {
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    /// Being written.
    writing: BTreeSet<u64>,
    /// On disk, and not with the connection.
    ready: BTreeSet<u64>,
    /// Those of them that were sent before, or may have been by an earlier process.
    sent_before: BTreeSet<u64>,
    /// Not to be sent before a time, as connections ended over them.
    resting: BTreeSet<(Instant, u64)>,
    /// With the connection.
    given: BTreeMap<u64, Arc<AtomicBool>>,
    given_bytes: u64,
    /// The ends of all that are not settled.
    ends: BTreeSet<(Instant, u64)>,
    /// The settled ones, by when they were settled.
    outcomes: BTreeSet<(SystemTime, u64)>,
    /// Messages that are not settled, and their bytes, by the token or hook that stored them.
    shares: HashMap<Box<str>, Share>,
    /// How many of these ended in which way.
    settlements: [u64; 5],
    bytes: u64,
}

impl Ledger {
    /// With what an earlier process left, which may have sent messages up to `given_up_to`. `wall` and `now` are the
    /// same moment. A message that was stored in the future gets no more time than it had then: the clock was put back.
    pub fn new(limits: Limits, (left, given_up_to): (&[Brief], u64), wall: SystemTime, now: Instant) -> Self {
        let mut ledger = Self {
            limits,
            entries: BTreeMap::new(),
            writing: BTreeSet::new(),
            ready: BTreeSet::new(),
            sent_before: BTreeSet::new(),
            resting: BTreeSet::new(),
            given: BTreeMap::new(),
            given_bytes: 0,
            ends: BTreeSet::new(),
            outcomes: BTreeSet::new(),
            shares: HashMap::new(),
            settlements: [0; 5],
            bytes: 0,
        };
        for brief in left {
            let ttl = brief.until.duration_since(brief.since).unwrap_or_default();
            let rest = brief.until.duration_since(wall).unwrap_or_default().min(ttl);
            let entry = Entry::new(brief, now + rest);
            let may_be_sent = brief.sequence <= given_up_to;
            ledger.insert(brief.sequence, if may_be_sent { entry.sent_before() } else { entry });
            match brief.settlement {
                Some((at, settlement)) => drop(ledger.settle(brief.sequence, settlement, at)),
                None => ledger.stored(brief.sequence),
            }
        }
        ledger
    }

    /// The machine was suspended for so long, which the clock does not count, and the time of messages does.
    pub fn suspended(&mut self, time: Duration) {
        for (end, sequence) in std::mem::take(&mut self.ends) {
            let end = end.checked_sub(time).unwrap_or(end);
            self.ends.insert((end, sequence));
            if let Some(entry) = self.entries.get_mut(&sequence) {
                entry.end = end;
            }
        }
    }

    /// Whether there is room for messages of this owner. A token or a hook has half of all, so that others have some
    /// too.
    pub fn check_room(&self, owner: &str, messages: usize, bytes: u64) -> Result<(), NotStored> {
        let (Limits { messages: most, bytes: most_bytes, .. }, waiting) = (self.limits, self.ends.len());
        let share = self.shares.get(owner).copied().unwrap_or_default();
        let (half, half_of_bytes) = (most.div_ceil(2), most_bytes.div_ceil(2));
        if !owner.is_empty() && (share.messages + messages > half || share.bytes + bytes > half_of_bytes) {
            let Share { messages, bytes } = share;
            return Err(NotStored::Full(format!(
                "{messages} messages with {bytes} bytes of this token or hook, and half of `max-messages` and of \
                 `max-bytes` is {half} and {half_of_bytes}"
            )));
        }
        if waiting + messages > most {
            return Err(NotStored::Full(format!("{waiting} messages, and `max-messages` is {most}")));
        }
        if self.bytes + bytes > most_bytes {
            let words = format!("{} bytes in its messages, and `max-bytes` is {most_bytes}", self.bytes);
            return Err(NotStored::Full(words));
        }
        Ok(())
    }

    /// A message is being written.
    pub fn insert(&mut self, sequence: u64, entry: Entry) {
        self.bytes += entry.size;
        let share = self.shares.entry(entry.owner.clone()).or_default();
        (share.messages, share.bytes) = (share.messages + 1, share.bytes + entry.size);
        self.ends.insert((entry.end, sequence));
        self.writing.insert(sequence);
        self.entries.insert(sequence, entry);
    }

    /// A message is on disk, and may be sent, again if it was with the connection.
    pub fn stored(&mut self, sequence: u64) {
        self.take_from(sequence);
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.phase = Phase::Ready;
            self.ready.insert(sequence);
            if entry.was_sent() {
                self.sent_before.insert(sequence);
            }
        }
    }

    /// A message was given up by the connection. It is sent again later, unless that happened too often. Returns
    /// whether it is.
    pub fn rest(&mut self, sequence: u64, now: Instant) -> bool {
        self.take_from(sequence);
        let Some(entry) = self.entries.get_mut(&sequence) else { return false };
        let Some(rest) = RESTS.get(entry.given_up) else { return false };
        entry.given_up += 1;
        entry.phase = Phase::Resting(now + *rest);
        self.resting.insert((now + *rest, sequence));
        true
    }

    /// Lets those be sent that have rested.
    pub fn wake(&mut self, now: Instant) {
        while let Some((_, sequence)) = self.resting.first().filter(|(until, _)| *until <= now).copied() {
            self.stored(sequence);
        }
    }

    /// A message is about to be taken back: it is not given to the connection meanwhile.
    pub fn hold(&mut self, sequence: u64) {
        self.take_from(sequence);
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.phase = Phase::Writing;
        }
    }

    /// A message is not in the outbox any more, or never was on disk.
    pub fn remove(&mut self, sequence: u64) {
        self.take_from(sequence);
        let Some(entry) = self.entries.remove(&sequence) else { return };
        self.leave_phase(sequence, &entry);
    }

    /// The messages up to this one that may be given to the connection now, in their order, at most so many.
    pub fn next_ready(&self, most: usize, up_to: u64) -> Vec<u64> {
        let next = self.ready.range(..=up_to).copied();
        next.take(self.room_with_connection().min(most)).collect()
    }

    /// The last message that the connection has room for, if it is not given one after it.
    pub fn last_with_room(&self) -> Option<u64> {
        self.ready.iter().chain(&self.writing).copied().take(self.room_with_connection()).max()
    }

    /// The last message that was sent and is not settled, or may have been sent.
    pub fn last_sent(&self) -> Option<u64> {
        let sent = self.given.iter().filter(|(_, sent)| sent.load(Ordering::Relaxed)).map(|(sequence, _)| *sequence);
        sent.chain(self.sent_before.last().copied()).chain(self.resting()).max()
    }

    fn resting(&self) -> impl Iterator<Item = u64> {
        self.resting.iter().map(|(_, sequence)| *sequence)
    }

    fn room_with_connection(&self) -> usize {
        if self.given_bytes < MAX_GIVEN_BYTES { MAX_GIVEN.saturating_sub(self.given.len()) } else { 0 }
    }

    /// A message is given to the connection. Returns when its time is over, and what is set when it is sent.
    pub fn give(&mut self, sequence: u64) -> Option<(Instant, Arc<AtomicBool>)> {
        let entry = self.entries.get_mut(&sequence).filter(|entry| matches!(entry.phase, Phase::Ready))?;
        entry.phase = Phase::Given;
        self.ready.remove(&sequence);
        self.sent_before.remove(&sequence);
        self.given_bytes += entry.size;
        self.given.insert(sequence, entry.was_sent.clone());
        Some((entry.end, entry.was_sent.clone()))
    }

    /// A message may have been sent, which the connection does not know.
    pub fn may_be_sent(&self, sequence: u64) {
        if let Some(entry) = self.entries.get(&sequence) {
            entry.was_sent.store(true, Ordering::Relaxed);
        }
    }

    /// It is known what became of a message, or known better than before. Returns whether it is the first time.
    pub fn settle(&mut self, sequence: u64, settlement: Settlement, at: SystemTime) -> bool {
        self.take_from(sequence);
        let Some(mut entry) = self.entries.remove(&sequence) else { return false };
        self.leave_phase(sequence, &entry);
        let is_first = entry.is_unsettled();
        entry.phase = Phase::Settled(settlement, at);
        self.outcomes.insert((at, sequence));
        self.settlements[State::from(settlement) as usize] += 1;
        self.entries.insert(sequence, entry);
        is_first
    }

    /// Messages on disk whose time is over, at most so many.
    pub fn expired(&self, now: Instant, most: usize) -> Vec<u64> {
        let due = self.ends.iter().take_while(|(end, _)| *end <= now);
        due.map(|(_, sequence)| *sequence).filter(|sequence| self.ready.contains(sequence)).take(most).collect()
    }

    /// Outcomes that are forgotten now, at most so many.
    pub fn forgotten(&self, wall: SystemTime, most: usize) -> Vec<u64> {
        let too_many = self.outcomes.len().saturating_sub(self.limits.messages);
        let is_over = |(index, (at, _)): &(usize, &(SystemTime, u64))| {
            *index < too_many || wall.duration_since(*at).is_ok_and(|age| age >= self.limits.keep)
        };
        let forgotten = self.outcomes.iter().enumerate().take_while(is_over).take(most);
        forgotten.map(|(_, (_, sequence))| *sequence).collect()
    }

    /// When [`Self::expired`] or [`Self::wake`] has something next, in the time of `now`.
    pub fn next_end(&self) -> Option<Instant> {
        // one that is with the connection is told by it
        let end = self.ends.iter().find(|(_, sequence)| self.ready.contains(sequence)).map(|(end, _)| *end);
        end.into_iter().chain(self.resting.first().map(|(until, _)| *until)).min()
    }

    /// How long until [`Self::forgotten`] has something next.
    pub fn next_forgotten(&self, wall: SystemTime) -> Option<Duration> {
        let (at, _) = self.outcomes.first()?;
        Some((*at + self.limits.keep).duration_since(wall).unwrap_or_default())
    }

    /// One message.
    pub fn get(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(&sequence)
    }

    /// Whether a message is with the connection.
    pub fn is_given(&self, sequence: u64) -> bool {
        self.given.contains_key(&sequence)
    }

    /// Bytes of those that are not settled.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest that is not settled.
    pub fn oldest(&self) -> Option<&Entry> {
        let first = |sequence: Option<&u64>| sequence.copied();
        let oldest = first(self.ready.first()).into_iter().chain(first(self.given.keys().next()));
        let oldest = oldest.chain(self.resting()).min()?;
        self.get(oldest)
    }

    /// In the order of [`State::ALL`].
    pub fn counts(&self) -> [u64; 5] {
        let sent = self.given.values().filter(|sent| sent.load(Ordering::Relaxed)).count();
        let sent = sent + self.sent_before.len() + self.resting.len();
        let sent = sent as u64;
        let mut counts = self.settlements;
        counts[State::Sent as usize] = sent;
        counts[State::Queued as usize] = (self.ends.len() - self.writing.len()) as u64 - sent;
        counts
    }

    /// Takes a message out of the phase in which it is.
    fn take_from(&mut self, sequence: u64) {
        self.writing.remove(&sequence);
        self.ready.remove(&sequence);
        self.sent_before.remove(&sequence);
        if let Some(Entry { phase: Phase::Resting(until), .. }) = self.entries.get(&sequence) {
            self.resting.remove(&(*until, sequence));
        }
        if self.given.remove(&sequence).is_some() {
            let size = self.entries.get(&sequence).map_or(0, |entry| entry.size);
            self.given_bytes = self.given_bytes.saturating_sub(size);
        }
    }

    fn leave_phase(&mut self, sequence: u64, entry: &Entry) {
        if let Phase::Settled(settlement, at) = entry.phase {
            self.outcomes.remove(&(at, sequence));
            self.settlements[State::from(settlement) as usize] -= 1;
        } else {
            self.bytes -= entry.size;
            self.ends.remove(&(entry.end, sequence));
            if let Some(share) = self.shares.get_mut(&entry.owner) {
                (share.messages, share.bytes) = (share.messages - 1, share.bytes - entry.size);
            }
        }
    }
}

#[cfg(test)]
mod tests;
