//! How much of the table each owner has, so that the one with the most makes room for the others.

use std::collections::{BTreeMap, HashMap};

use crate::outbox::KeyHash;

/// The owners that have keys: tokens and hooks, and everyone together where there are no tokens.
#[derive(Debug, Default)]
pub struct Owners {
    owners: HashMap<Box<str>, Owner>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Owner {
    keys: usize,
    bytes: usize,
    /// By their numbers: the oldest first.
    settled: BTreeMap<u64, KeyHash>,
}

impl Owners {
    /// Bytes of the answers of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A key with an answer of so many bytes is there.
    pub fn add(&mut self, owner: &str, bytes: usize) {
        let owner = self.owners.entry(owner.into()).or_default();
        owner.keys += 1;
        owner.bytes += bytes;
        self.bytes += bytes;
    }

    /// The size of an answer changes.
    pub fn resize(&mut self, owner: &str, before: usize, after: usize) {
        let Some(owner) = self.owners.get_mut(owner) else { return };
        owner.bytes = owner.bytes + after - before;
        self.bytes = self.bytes + after - before;
    }

    /// The key with this number has an answer.
    pub fn settle(&mut self, owner: &str, number: u64, key: KeyHash) {
        if let Some(owner) = self.owners.get_mut(owner) {
            owner.settled.insert(number, key);
        }
    }

    /// The key with this number is there no more.
    pub fn remove(&mut self, name: &str, number: u64, bytes: usize) {
        let Some(owner) = self.owners.get_mut(name) else { return };
        owner.keys -= 1;
        owner.bytes -= bytes;
        owner.settled.remove(&number);
        self.bytes -= bytes;
        if owner.keys == 0 {
            self.owners.remove(name);
        }
    }

    /// The oldest settled key of the owner with the most keys, in whose favour it makes room. `None` if nobody has a
    /// settled key, or if the one who asks has the most and none of them is settled.
    pub fn oldest_of_most_keys(&self, asking: &str) -> Option<KeyHash> {
        let own = self.owners.get(asking).filter(|owner| owner.settled.is_empty()).map_or(0, |owner| owner.keys);
        let with_settled = self.owners.values().filter(|owner| !owner.settled.is_empty());
        let most = with_settled.max_by_key(|owner| owner.keys)?;
        most.settled.values().next().copied().filter(|_| most.keys > own)
    }

    /// The oldest settled key of the owner with the most bytes.
    pub fn oldest_of_most_bytes(&self) -> Option<KeyHash> {
        let most = self.owners.values().filter(|owner| !owner.settled.is_empty()).max_by_key(|owner| owner.bytes)?;
        most.settled.values().next().copied()
    }
}
