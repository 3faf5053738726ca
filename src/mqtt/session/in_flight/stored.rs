//! Messages of the outbox: nothing of them is sent after their deadline, and those that were never handed over can be
//! taken back.

use std::time::{Duration, Instant};

use super::InFlight;
use super::entry::{Entry, State};
use super::waiting::Waiting;
use crate::message::{Message, Qos};
use crate::mqtt::outcome::Failure;

impl InFlight {
    /// Accepts a message that is stored at this place of the outbox, however many wait. The places of all that are in
    /// the table differ.
    pub fn accept_stored(&mut self, stored: u64, message: Message, deadline: Instant, caller: Waiting) {
        self.unsent.insert(stored, self.next_sequence);
        self.insert(message, None, Some(stored), deadline, caller);
    }

    /// Takes a message back that was never handed over. Its callers are not called. Returns whether it was there.
    pub fn withdraw(&mut self, stored: u64) -> bool {
        let Some(sequence) = self.unsent.remove(&stored) else { return false };
        self.clear_deadline(sequence);
        self.waiting.remove(sequence);
        if let Some(entry) = self.entries.remove(&sequence) {
            self.settled.forget(entry.caller, entry.late);
        }
        true
    }

    /// The same for all of them. Returns their places in the outbox.
    pub fn withdraw_all(&mut self) -> Vec<u64> {
        let all: Vec<u64> = self.unsent.keys().copied().collect();
        for stored in &all {
            self.withdraw(*stored);
        }
        all
    }

    /// The machine was suspended for so long, which the clock does not count, and `ttl` does.
    pub fn suspended(&mut self, time: Duration) {
        for (sequence, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.stored.is_some()) {
            let is_waited_for = self.deadlines.remove(&(entry.deadline, *sequence));
            entry.deadline = entry.deadline.checked_sub(time).unwrap_or(entry.deadline);
            if is_waited_for {
                self.deadlines.insert((entry.deadline, *sequence));
            }
        }
    }

    /// Forgets what the session owes of the outbox and may not be sent any more. A broker keeps nothing of a message at
    /// QoS 1 that it did not acknowledge. At QoS 2 it may keep the packet identifier, and then take another message for
    /// this one: false means that the session cannot be resumed.
    pub(super) fn forget_overdue(&mut self, now: Instant) -> bool {
        let mut overdue = self.sent();
        overdue.retain(|sequence| {
            let entry = &self.entries[sequence];
            entry.stored.is_some() && !entry.received && entry.deadline <= now && !self.is_sent_here(*sequence)
        });
        let can_resume = overdue.iter().all(|sequence| self.entries[sequence].message.qos != Qos::ExactlyOnce);
        for sequence in overdue {
            self.settle(sequence, Err(Failure::Unknown));
        }
        can_resume
    }
}

impl Entry {
    /// The message expiry interval of a message of the outbox, if it has one, is what is left for it: whole seconds,
    /// rounded up, at least one.
    pub fn renew_expiry(&mut self, now: Instant) {
        let expiry = self.message.properties.message_expiry_interval.as_mut().filter(|_| self.stored.is_some());
        if let Some(expiry) = expiry {
            let left = self.deadline.saturating_duration_since(now);
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            *expiry = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        }
    }

    pub fn is_stored_and_waits(&self) -> bool {
        self.stored.is_some() && self.state == State::Waiting
    }
}
