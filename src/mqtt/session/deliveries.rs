//! The messages of a webhook that are not acknowledged, in the order in which they came.
//!
//! The broker sends a message again on the next connection if it has not seen its acknowledgement. The table recognizes
//! it then, so that a request that is under way is not made a second time.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use crate::message::Received;

/// Messages that a table holds: as many as a broker has packet identifiers for. mosquitto 2.0.11 sends a backlog
/// without regard to Receive Maximum.
const MAX_MESSAGES: usize = 65_535;

/// The table has no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What is to be acknowledged: the connection, the packet identifier and the QoS of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    pub connection: u64,
    pub packet_identifier: u16,
    pub qos: u8,
}

impl Owed {
    /// Whether it was owed on the connection directly before. After a longer time the broker may have given up the
    /// message, and used its packet identifier for another one with the same content.
    fn follows(self, connection: u64) -> bool {
        connection + 1 == self.connection
    }
}

/// A message that is to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// Identifies it in the table.
    pub number: u64,
    pub message: Arc<Received>,
    /// When it came for the first time.
    pub since: Instant,
}

/// The table.
#[derive(Default)]
pub struct Deliveries {
    /// Bytes that the messages may take together. A single one may take more.
    max_bytes: usize,
    /// The oldest first. The acknowledgement of a message waits for those of all before it (MQTT 5, 4.6.0-2).
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// The number of the next entry to be delivered.
    next: u64,
    bytes: usize,
    /// The entries that are owed, by their packet identifiers.
    by_identifier: HashMap<u16, u64>,
    /// Delivered messages whose acknowledgement could not be sent, as their connection had ended: by their packet
    /// identifiers the connection and the hash.
    unacknowledged: HashMap<u16, (u64, u64)>,
    hasher: RandomState,
}

struct Entry {
    message: Arc<Received>,
    /// Of what does not change when the message is sent again.
    hash: u64,
    /// On the last connection on which it came; `None` if the broker awaits nothing.
    owed: Option<Owed>,
    since: Instant,
    is_settled: bool,
}

impl Deliveries {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// A connection was made. Without its session the broker awaits nothing of what came before.
    pub fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.unacknowledged.clear();
            self.by_identifier.clear();
            self.entries.iter_mut().for_each(|entry| entry.owed = None);
        }
    }

    /// Takes a message. Returns what is to be acknowledged at once: a message that was delivered before.
    pub fn push(&mut self, message: &Arc<Received>, owed: Option<Owed>, now: Instant) -> Result<Option<Owed>, Full> {
        let hash = self.hash(message);
        if let Some(owed) = owed {
            let delivered = self.unacknowledged.remove(&owed.packet_identifier);
            let is_same = |(connection, other)| owed.follows(connection) && hash == other;
            if message.dup && delivered.is_some_and(is_same) {
                return Ok(Some(owed));
            }
            if message.dup && self.renew(owed, hash) {
                return Ok(None);
            }
        }
        let bytes = message.size();
        let is_full = self.entries.len() >= MAX_MESSAGES || self.bytes.saturating_add(bytes) > self.max_bytes;
        if is_full && !self.entries.is_empty() {
            return Err(Full);
        }
        self.bytes += bytes;
        if let Some(owed) = owed {
            self.by_identifier.insert(owed.packet_identifier, self.first + self.entries.len() as u64);
        }
        self.entries.push_back(Entry { message: message.clone(), hash, owed, since: now, is_settled: false });
        Ok(None)
    }

    /// A message that came on an earlier connection is awaited on this one. Returns whether it did.
    fn renew(&mut self, owed: Owed, hash: u64) -> bool {
        let number = self.by_identifier.get(&owed.packet_identifier).copied();
        let Some(entry) = number.and_then(|number| self.entry(number)) else { return false };
        let is_same = entry.hash == hash && entry.owed.is_some_and(|earlier| owed.follows(earlier.connection));
        if is_same {
            entry.owed = Some(owed);
        }
        is_same
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// The next message that is to be delivered.
    pub fn next(&mut self) -> Option<Due> {
        let number = self.next;
        let entry = self.entry(number)?;
        let due = Due { number, message: entry.message.clone(), since: entry.since };
        self.next += 1;
        Some(due)
    }

    /// A message was delivered, or given up.
    pub fn settle(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.is_settled = true;
        }
    }

    /// Removes what is settled and has nothing unsettled before it, and acknowledges it. `acknowledge` returns false if
    /// the connection is gone: then the broker sends the message again.
    pub fn acknowledge(&mut self, acknowledge: impl Fn(Owed) -> bool) {
        while self.entries.front().is_some_and(|entry| entry.is_settled) {
            let Some(entry) = self.entries.pop_front() else { return };
            self.bytes -= entry.message.size();
            if let Some(owed) = entry.owed {
                if self.by_identifier.get(&owed.packet_identifier) == Some(&self.first) {
                    self.by_identifier.remove(&owed.packet_identifier);
                }
                if !acknowledge(owed) {
                    self.unacknowledged.insert(owed.packet_identifier, (owed.connection, entry.hash));
                }
            }
            self.first += 1;
        }
    }

    /// How many messages are not acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Since when the oldest of them is here.
    pub fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.since)
    }

    /// Of what a broker does not change when it sends a message again: the expiry interval gets shorter.
    fn hash(&self, message: &Received) -> u64 {
        let properties = &message.properties;
        self.hasher.hash_one((
            (&message.topic, &message.payload, message.retain),
            (&properties.content_type, &properties.response_topic),
            (&properties.correlation_data, &properties.user_properties),
        ))
    }
}

#[cfg(test)]
mod tests;
