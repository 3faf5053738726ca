//! Which messages a page has, and how many there are in each state.

use std::ops::Bound;

use super::Ledger;
use crate::outbox::view::Query;

/// Messages that are looked at for a page, so that nobody waits long for it.
const MAX_LOOKED_AT: usize = 20_000;

/// Bytes of messages with their payloads, which are read for a page. Of settled ones there is no payload.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A part of what was asked for.
pub struct Listing {
    pub counts: [u64; 5],
    pub bytes: u64,
    /// In the order of acceptance.
    pub sequences: Vec<u64>,
    /// The last one that was looked at, if there are more.
    pub next: Option<u64>,
}

impl Ledger {
    /// The messages that a query asks for. The counts are those of all messages that its owner may see.
    pub fn list(&self, query: &Query) -> Listing {
        let owner = query.owner.as_deref();
        let (counts, bytes) = owner.map_or_else(|| (self.counts(), self.bytes()), |owner| self.counts_of(owner));
        let after = query.after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.sequence));
        let (mut sequences, mut to_read, mut next) = (Vec::new(), 0, None);
        for (looked_at, (sequence, entry)) in self.entries.range((after, Bound::Unbounded)).enumerate() {
            if looked_at == MAX_LOOKED_AT || sequences.len() == query.limit || to_read >= MAX_BYTES {
                return Listing { counts, bytes, sequences, next };
            }
            if entry.is_seen_by(owner) && query.state.is_none_or(|state| state == entry.state()) {
                sequences.push(*sequence);
                to_read += entry.waiting_bytes();
            }
            next = Some(*sequence);
        }
        Listing { counts, bytes, sequences, next: None }
    }

    fn counts_of(&self, owner: &str) -> ([u64; 5], u64) {
        let (mut counts, mut bytes) = ([0; 5], 0);
        for entry in self.entries.values().filter(|entry| entry.is_seen_by(Some(owner))) {
            counts[entry.state() as usize] += 1;
            bytes += entry.waiting_bytes();
        }
        (counts, bytes)
    }
}
