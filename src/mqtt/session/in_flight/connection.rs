//! A connection while it lasts: what a resumed session sends again, and when it takes messages.

use std::time::Instant;

use super::InFlight;
use super::entry::{Reached, Sequence, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::{Retransmission, Window};

impl InFlight {
    /// A connection is there. If it resumed the session, retransmissions go before anything else.
    pub fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.forget_session();
        }
    }

    /// What may be sent again now, in the order of the first time (MQTT 5, 4.6), with at most `size` unacknowledged at
    /// a time. `None` if the session cannot be resumed.
    pub fn retransmissions(&mut self, size: u16, now: Instant) -> Option<Vec<Retransmission>> {
        if !self.forget_overdue(now) {
            return None;
        }
        let sent = self.sent();
        let has_suspect = sent.iter().any(|sequence| self.entries[sequence].losses.is_suspicious());
        let size = if has_suspect { 1 } else { usize::from(size) };
        let (here, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sequence| self.is_sent_here(*sequence));
        let free = size.saturating_sub(here.len());
        Some(others.into_iter().take(free).filter_map(|sequence| self.send_again(sequence, now)).collect())
    }

    /// Settles what the session has to send again and this broker does not take. Returns whether there was any: then
    /// the session cannot be resumed.
    pub fn give_up_retransmissions(&mut self, can_be_sent: impl Fn(&Message) -> bool) -> bool {
        let mut given_up = self.sent();
        given_up.retain(|sequence| {
            let entry = &self.entries[sequence];
            !entry.received && !can_be_sent(&entry.message)
        });
        for sequence in &given_up {
            self.settle(*sequence, Err(Failure::Unknown));
        }
        !given_up.is_empty()
    }

    /// There is a connection, which takes no messages before the broker has done `what`.
    pub fn awaits(&mut self, what: &'static str) {
        self.awaited = Some(what);
    }

    /// The connection takes messages from now on.
    pub fn ready(&mut self, window: Window) {
        (self.window, self.paused) = (Some(window), false);
    }

    /// Holds messages back until the connection is [`Self::ready`] again.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// The MQTT client was interrupted: what was handed over may have left, or may be dropped. Returns whether there
    /// was anything.
    pub fn interrupt(&mut self) -> bool {
        let handed_over = self.handed_over;
        if let Some(sequence) = handed_over {
            self.change(sequence, |entry| (entry.interrupted, entry.reached) = (true, Reached::Network));
        }
        handed_over.is_some()
    }

    /// How much the connection takes; `None` where it takes nothing.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    fn send_again(&mut self, sequence: Sequence, now: Instant) -> Option<Retransmission> {
        self.take_packet_identifier(sequence);
        let entry = self.entries.get_mut(&sequence)?;
        entry.renew_expiry(now);
        if entry.stored.is_some() && !entry.received {
            self.unwritten.insert(sequence);
        }
        let State::Sent { packet_identifier, since } = &mut entry.state else { return None };
        *since = now;
        Some(if entry.received {
            Retransmission::PubRel(*packet_identifier)
        } else {
            Retransmission::Publish(*packet_identifier, entry.message.clone())
        })
    }

    /// What was sent and is unacknowledged, in the order in which it was sent for the first time.
    pub(super) fn sent(&self) -> Vec<Sequence> {
        let mut sent: Vec<Sequence> = self.sent.values().copied().collect();
        sent.sort_unstable_by_key(|sequence| self.entries[sequence].ordinal);
        sent
    }

    /// Whether one of these was sent on the current connection.
    pub(super) fn is_sent_here(&self, sequence: Sequence) -> bool {
        self.entries[&sequence].ordinal.is_some_and(|ordinal| self.packet_identifiers.is_taken(ordinal))
    }
}
