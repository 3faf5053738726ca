//! Which messages are due, and how many wait for how long.

use std::time::{Duration, Instant};

use super::InFlight;
use super::entry::{Sequence, State};
use super::waiting::Waiting;
use crate::mqtt::outcome::Failure;

/// How long after its deadline a message that was already handed over may still be sent.
pub const OVERDUE: Duration = Duration::from_millis(100);

impl InFlight {
    /// Gives their outcome to callers whose deadline has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(_, sequence)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.clear_deadline(sequence);
            let entry = &self.entries[&sequence];
            let failure = match entry.ever_handed_over() {
                true => Failure::Unknown,
                false if self.window.is_some() => Failure::Busy,
                false => self.awaited.map_or(Failure::NotConnected, Failure::NotReady),
            };
            if entry.state == State::Waiting {
                self.settle(sequence, Err(failure));
            } else {
                // it stays: its acknowledgement may still come, and must not be taken for another's
                self.notify(sequence, Err(failure));
            }
        }
    }

    /// Settles everything, because there is no more time.
    pub fn stop(&mut self) {
        for sequence in self.entries.keys().copied().collect::<Vec<_>>() {
            let failure = if self.entries[&sequence].ever_handed_over() { Failure::Unknown } else { Failure::Stopping };
            self.settle(sequence, Err(failure));
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Since when the oldest unacknowledged message has been with the connection.
    pub fn oldest_unacknowledged(&self) -> Option<Instant> {
        let since = |sequence: Sequence| match self.entries[&sequence].state {
            State::HandedOver { since, .. } | State::Sent { since, .. } => Some(since),
            State::Waiting => None,
        };
        self.packet_identifiers.oldest_message().into_iter().chain(self.handed_over).filter_map(since).min()
    }

    /// When a message that was handed over, or of the outbox one that is sent again, must not be sent any more, as long
    /// as it is not written.
    pub fn overdue_at(&self) -> Option<Instant> {
        let unwritten = self.handed_over.iter().chain(&self.unwritten);
        unwritten.map(|sequence| self.entries[sequence].deadline + OVERDUE).min()
    }

    /// How many messages of requests have a caller that waits.
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Whether a stop has nothing to wait for. It does not wait for messages of the outbox that are not with the
    /// connection.
    pub fn is_drained(&self) -> bool {
        self.deadlines.iter().all(|(_, sequence)| self.entries[sequence].is_stored_and_waits())
    }

    /// The caller of a request that has waited longest.
    pub fn oldest_caller(&self) -> Option<&Waiting> {
        self.entries.values().filter(|entry| entry.share.is_some()).find_map(|entry| entry.caller.as_ref())
    }

    /// The caller is to get its outcome at the deadline.
    pub(super) fn set_deadline(&mut self, sequence: Sequence) {
        let entry = &self.entries[&sequence];
        let is_new = self.deadlines.insert((entry.deadline, sequence));
        self.unsettled += usize::from(is_new && entry.share.is_some());
    }

    /// The caller has its outcome.
    pub(super) fn clear_deadline(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get(&sequence) else { return };
        let was_set = self.deadlines.remove(&(entry.deadline, sequence));
        self.unsettled -= usize::from(was_set && entry.share.is_some());
    }

    /// How many messages were sent and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sent.len()
    }
}
