//! Readers of a topic buffer, each at its own pace.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::batch::{Batch, Handle, Missed};
use super::buffer::{Retained, Ring, TopicBuffer};
use crate::metrics;

/// The most messages that a reader takes at a time, and the most bytes: what it holds is not in the budget. A single
/// longer message stays the buffer's.
pub(super) const MAX_AT_ONCE: usize = 512;
pub(super) const MAX_BYTES_AT_ONCE: usize = 64 * 1024;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next message.
    Now,
    /// With the retained message that the broker sends for the reader's SUBSCRIBE or for a later one.
    Fetch,
    /// After a message that it has seen: the number of its buffer, and its position there.
    After(u64, u64),
    /// After a message that is no longer known.
    Unknown,
}

/// A reader's position in a buffer.
pub struct Reader {
    buffer: Arc<TopicBuffer>,
    /// The position of the message that it reads next.
    next: u64,
    /// It joined with the subscription of this generation.
    generation: u32,
    /// It wants the retained messages of that subscription.
    is_new: bool,
    /// And those of later ones.
    fetches: bool,
    missed: Option<Missed>,
    /// How many gaps it was told of, or came after.
    gaps: u64,
    /// How many refusals it was told of.
    refusals: u64,
}

impl Reader {
    /// A reader that joins with the subscription of this generation.
    pub fn new(buffer: Arc<TopicBuffer>, start: Start, generation: u32) -> Self {
        let ring = buffer.lock();
        let (next, missed) = match start {
            Start::Now | Start::Fetch => (ring.end(), None),
            Start::After(number, position) if number == buffer.number && position < ring.end() => (position + 1, None),
            Start::After(..) | Start::Unknown => (ring.end(), Some(Missed::Unknown)),
        };
        let refusals = ring.refusals;
        let is_new = !matches!(start, Start::After(..));
        let gaps = if is_new { ring.gaps.count() } else { 0 };
        drop(ring);
        Self { buffer, next, generation, is_new, fetches: start == Start::Fetch, missed, gaps, refusals }
    }

    /// Its client has seen that the stream is open. Gaps before that are none of a new reader's.
    pub fn begin(&mut self) {
        if self.is_new {
            self.gaps = self.buffer.lock().gaps.count();
        }
    }

    /// The number of its buffer.
    pub fn buffer(&self) -> u64 {
        self.buffer.number
    }

    /// Waits for the next messages, up to the deadline.
    pub fn read(&mut self, deadline: Instant) -> Batch {
        let buffer = self.buffer.clone();
        let mut ring = buffer.lock();
        loop {
            let mut batch = self.take(&ring);
            batch.refused =
                ring.refusal.filter(|_| std::mem::replace(&mut self.refusals, ring.refusals) < ring.refusals);
            batch.ended = ring.ended;
            let is_empty = batch.messages.is_empty() && batch.missed.is_none() && batch.refused.is_none();
            let left = deadline.saturating_duration_since(Instant::now());
            if !is_empty || batch.ended || left.is_zero() {
                return batch;
            }
            ring.waiting += 1;
            ring = buffer.changed.wait_timeout(ring, left).unwrap_or_else(PoisonError::into_inner).0;
            ring.waiting -= 1;
        }
    }

    /// Whether no more messages will come.
    pub fn is_ended(&self) -> bool {
        self.buffer.lock().ended
    }

    /// Messages from its position on, up to the next gap, and whether some were missed before them.
    fn take(&mut self, ring: &Ring) -> Batch {
        let lagged = self.next < ring.first;
        let mut batch = Batch { missed: self.missed.take(), lagged, ..Batch::default() };
        if lagged {
            let count = ring.first - self.next;
            metrics::METRICS.lagged.inc_by(count);
            let has_gap = ring.gaps.next(self.next, self.gaps).is_some_and(|gap| gap.position < ring.first);
            let is_known = batch.missed.is_none() && !has_gap;
            batch.missed = Some(if is_known { Missed::Known(count) } else { Missed::Unknown });
            self.next = ring.first;
        }
        let mut bytes = 0;
        loop {
            if let Some(gap) = ring.gaps.next(self.next, self.gaps).filter(|gap| gap.position == self.next) {
                if !batch.messages.is_empty() {
                    return batch;
                }
                batch.missed = Some(Missed::Unknown);
                self.gaps = gap.number;
            }
            let Some((message, retained)) = ring.get(self.next) else { return batch };
            if retained.is_none_or(|retained| self.is_meant(retained)) {
                bytes += message.size;
                let is_too_much = bytes > MAX_BYTES_AT_ONCE && !batch.messages.is_empty();
                if is_too_much || batch.messages.len() == MAX_AT_ONCE {
                    return batch;
                }
                let holds = (message.size <= MAX_BYTES_AT_ONCE).then(|| message.clone());
                batch.messages.push((self.next, Handle { message: Arc::downgrade(message), _holds: holds }));
            }
            self.next += 1;
        }
    }

    /// Whether a retained message was sent for this reader.
    fn is_meant(&self, retained: Retained) -> bool {
        let is_own = self.is_new && retained.generation == self.generation;
        is_own || ((retained.is_for_all || self.fetches) && retained.generation > self.generation)
    }
}
