//! One message of the outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use crate::outbox::Settlement;
use crate::outbox::store::Brief;
use crate::outbox::view::State;

/// What is known of a message without reading it.
pub struct Entry {
    /// Who stored it.
    pub owner: Box<str>,
    /// Bytes that count for `max-bytes`.
    pub size: u64,
    /// When it was stored.
    pub since: SystemTime,
    /// Nothing is sent after this time, by a clock that only goes forward.
    pub end: Instant,
    /// Whether an earlier process may have sent it.
    pub sent_before: bool,
    /// Whether it was written to a connection, now or perhaps by an earlier process.
    pub was_sent: Arc<AtomicBool>,
    pub phase: Phase,
    /// How often the connection ended over it, or perhaps over it.
    pub given_up: usize,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being written to disk.
    Writing,
    /// It is on disk only.
    Ready,
    /// It is on disk only, and is not sent before this time.
    Resting(Instant),
    /// It is with the connection too.
    Given,
    /// It is known what became of it, since this time.
    Settled(Settlement, SystemTime),
}

impl Entry {
    /// A message that is being written, with the moment at which its time is over.
    pub fn new(brief: &Brief, end: Instant) -> Self {
        Self {
            owner: brief.owner.clone(),
            size: brief.size,
            since: brief.since,
            end,
            sent_before: false,
            was_sent: Arc::default(),
            phase: Phase::Writing,
            given_up: 0,
        }
    }

    /// The same of a message that an earlier process may have sent.
    pub fn sent_before(self) -> Self {
        self.was_sent.store(true, Ordering::Relaxed);
        Self { sent_before: true, ..self }
    }

    /// As it is shown.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Settled(settlement, _) => settlement.into(),
            _ if self.was_sent() => State::Sent,
            _ => State::Queued,
        }
    }

    /// Whether it was sent, or may have been.
    pub fn was_sent(&self) -> bool {
        self.was_sent.load(Ordering::Relaxed)
    }

    pub fn is_unsettled(&self) -> bool {
        !matches!(self.phase, Phase::Settled(..))
    }

    /// Its bytes, until it is settled.
    pub fn waiting_bytes(&self) -> u64 {
        if self.is_unsettled() { self.size } else { 0 }
    }

    /// Whether one who sees only what this owner stored sees it. It is not shown before it is on disk.
    pub fn is_seen_by(&self, owner: Option<&str>) -> bool {
        self.phase != Phase::Writing && owner.is_none_or(|owner| *owner == *self.owner)
    }
}
