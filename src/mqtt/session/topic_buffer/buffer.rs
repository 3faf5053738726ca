//! The last messages of one topic filter.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::budget::Budget;
use super::buffered_message::BufferedMessage;
use super::gaps::Gaps;
use crate::mqtt::outcome::Refusal;

/// Messages that a buffer holds: most of a second at the highest rate.
pub(super) const MAX_MESSAGES: usize = 16_384;
/// Bytes that they may take.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// For whom the broker sent a retained message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// How often the filter had been subscribed to.
    pub generation: u32,
    /// For everybody, not only for those who joined with that subscription.
    pub is_for_all: bool,
}

impl Retained {
    /// For those alone that read the retained message of a topic.
    pub const FETCHED: Self = Self { generation: u32::MAX, is_for_all: false };
}

pub struct TopicBuffer {
    /// Unique in this process.
    pub(super) number: u64,
    budget: Arc<Budget>,
    ring: Mutex<Ring>,
    /// Notified when there is something new for readers.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct Ring {
    pub messages: VecDeque<(Arc<BufferedMessage>, Option<Retained>)>,
    /// The position of the first of them: so many were there before.
    pub first: u64,
    pub bytes: usize,
    pub gaps: Gaps,
    /// Readers that wait for the next message.
    pub waiting: usize,
    /// How often the filter was refused, and why last.
    pub refusals: u64,
    pub refusal: Option<Refusal>,
    pub ended: bool,
}

impl TopicBuffer {
    pub fn new(number: u64, budget: Arc<Budget>) -> Self {
        budget.buffers.fetch_add(1, Ordering::Relaxed);
        Self { number, budget, ring: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a message, and drops the oldest ones where there is not enough memory. Never waits for a reader.
    pub fn push(&self, message: Arc<BufferedMessage>, retained: Option<Retained>) {
        let size = message.size;
        let mut dropped = Vec::new();
        let mut guard = self.lock();
        let ring = &mut *guard;
        ring.messages.push_back((message, retained));
        ring.bytes += size;
        self.budget.bytes.fetch_add(size, Ordering::Relaxed);
        while ring.is_over(&self.budget) {
            let Some((message, _)) = ring.messages.pop_front() else { break };
            ring.first += 1;
            ring.gaps.drop_before(ring.first);
            ring.bytes -= message.size;
            self.budget.bytes.fetch_sub(message.size, Ordering::Relaxed);
            // freed without the lock
            dropped.push(message);
        }
        let is_awaited = ring.waiting > 0;
        drop(guard);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// A single message may take more than its buffer's bytes, but not more than the budget of all.
    fn is_over(&self, budget: &Budget) -> bool {
        let is_too_long = self.bytes > MAX_BYTES && self.messages.len() > 1;
        self.messages.len() > MAX_MESSAGES || is_too_long || budget.is_exceeded_by(self.bytes)
    }

    /// The message at this position, which is not before the first.
    pub fn get(&self, position: u64) -> Option<&(Arc<BufferedMessage>, Option<Retained>)> {
        self.messages.get(usize::try_from(position - self.first).ok()?)
    }

    /// The position of the next message.
    pub fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }
}

impl Drop for TopicBuffer {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.lock().bytes, Ordering::Relaxed);
        self.budget.buffers.fetch_sub(1, Ordering::Relaxed);
    }
}
