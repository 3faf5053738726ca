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
        while let Some(&(deadline, sequence)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, sequence));
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

    /// When a message that was handed over, and not written, must not be sent any more.
    pub fn overdue_at(&self) -> Option<Instant> {
        self.handed_over.map(|sequence| self.entries[&sequence].deadline + OVERDUE)
    }

    /// How many messages have a caller that waits.
    pub fn unsettled(&self) -> usize {
        self.deadlines.len()
    }

    /// The caller that has waited longest.
    pub fn oldest_caller(&self) -> Option<&Waiting> {
        self.entries.values().find_map(|entry| entry.caller.as_ref())
    }

    /// How many messages were sent and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sent.len()
    }
}
