//! The table of accepted messages that are not settled yet.
//!
//! An entry waits until it may be handed to the connection, is handed over (one at a time, so that next to nothing
//! can leave late), is sent, and is settled by an acknowledgement, a refusal, a loss or its deadline. Its caller gets
//! one outcome; an entry without a caller may stay, so that a late acknowledgement finds it.

mod entry;
mod order;
mod packet_identifiers;
mod waiting;

mod connection;
mod connection_end;
mod deadlines;
mod stored;
mod violation;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

pub use self::connection_end::{Aftermath, Blame};
pub use self::violation::Violation;
pub use self::waiting::{Caller, Callers, OnWritten, Settled, Waiting};

use self::entry::{Entry, Losses, Reached, Sequence, State};
use self::order::Order;
use self::packet_identifiers::PacketIdentifiers;
use crate::memory::Share;
use crate::message::{Message, Qos};
use crate::mqtt::outcome::{Failure, Outcome, Published};
use crate::mqtt::protocol::{Acknowledgement, Window};
use crate::mqtt::reason::NO_MATCHING_SUBSCRIBERS;

/// The table.
#[derive(Default)]
pub struct InFlight {
    entries: BTreeMap<Sequence, Entry>,
    waiting: Order,
    handed_over: Option<Sequence>,
    sent: HashMap<u16, Sequence>,
    /// Those of SUBSCRIBE and UNSUBSCRIBE packets are in it too.
    pub packet_identifiers: PacketIdentifiers,
    deadlines: BTreeSet<(Instant, Sequence)>,
    /// How many of these are of requests.
    unsettled: usize,
    /// What was never handed over of the messages of the outbox, by their place there.
    unsent: BTreeMap<u64, Sequence>,
    /// Messages of the outbox that are sent again, and not written yet.
    unwritten: BTreeSet<Sequence>,
    settled: Settled,
    window: Option<Window>,
    /// What the broker has to do before a connection has a window.
    awaited: Option<&'static str>,
    paused: bool,
    max_waiting: usize,
    next_sequence: Sequence,
}

impl InFlight {
    /// An empty table for at most `max_waiting` unsettled messages.
    pub fn new(max_waiting: usize) -> Self {
        Self { max_waiting, ..Self::default() }
    }

    /// Settles a message that is not accepted.
    pub fn reject(&mut self, caller: Waiting, failure: Failure) {
        self.settled.tell(caller, Err(failure));
    }

    /// Accepts a message with its share of the memory, or rejects it if `max_waiting` are unsettled. One without a
    /// share, which is the bridge's own, is accepted however many wait, and does not count. Its caller gets the outcome
    /// at the deadline at the latest.
    pub fn accept(&mut self, message: Message, share: Option<Share>, deadline: Instant, caller: Waiting) {
        if share.is_some() && self.unsettled >= self.max_waiting {
            return self.reject(caller, Failure::TooManyWaiting);
        }
        self.insert(message, share, None, deadline, caller);
    }

    fn insert(
        &mut self,
        message: Message,
        share: Option<Share>,
        stored: Option<u64>,
        deadline: Instant,
        caller: Waiting,
    ) {
        let is_stored = stored.is_some();
        let entry = Entry {
            message,
            share,
            stored,
            caller: Some(caller),
            late: None,
            deadline,
            state: State::Waiting,
            reached: Reached::Nothing,
            losses: Losses::default(),
            ordinal: None,
            interrupted: false,
            received: false,
            reason_code: None,
        };
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.entries.insert(sequence, entry);
        self.set_deadline(sequence);
        self.waiting.insert(sequence, is_stored);
    }

    /// The message that is to be handed over now, if there is one and the connection takes it.
    pub fn next(&mut self, now: Instant) -> Option<&Message> {
        let window = self.window.filter(|_| self.handed_over.is_none() && !self.paused)?;
        let sequence = self.waiting.first()?;
        let entry = &self.entries[&sequence];
        let free = self.sent.len() < usize::from(window.size)
            && self.packet_identifiers.has_free_at(entry.message.qos, window);
        // a suspect is handed over where nothing is unacknowledged, and nothing behind it before its acknowledgement
        let alone = self.sent.is_empty() || (!entry.losses.is_suspicious() && !self.sends_a_suspect());
        let entry = self.entries.get_mut(&sequence).filter(|_| free && alone)?;
        entry.renew_expiry(now);
        Some(&entry.message)
    }

    /// The message of [`Self::next`] was handed over to a live connection. At QoS 0 that is the outcome, unless the
    /// caller waits until the message is written. One that is lost before that waits for the next connection.
    pub fn hand_over(&mut self, now: Instant) {
        let Some(sequence) = self.waiting.pop_first() else { return };
        let entry = &self.entries[&sequence];
        let at_most_once = entry.message.qos == Qos::AtMostOnce;
        let is_promised = at_most_once && entry.caller.as_ref().is_none_or(|caller| caller.on_written.is_none());
        entry.stored.map(|stored| self.unsent.remove(&stored));
        self.handed_over = Some(sequence);
        self.change(sequence, |entry| {
            entry.state = State::HandedOver { since: now, is_promised };
            entry.reached = entry.reached.max(Reached::Client);
        });
        if is_promised {
            self.notify(sequence, Ok(Published::HandedOver));
        }
        if !at_most_once {
            self.take_packet_identifier(sequence);
        }
    }

    /// The message of [`Self::next`] cannot be sent to this broker. One that was sent before may be with it all the
    /// same.
    pub fn refuse(&mut self, failure: Failure) {
        if let Some(sequence) = self.waiting.first() {
            let sent = self.entries[&sequence].ever_handed_over();
            self.settle(sequence, Err(if sent { Failure::Unknown } else { failure }));
        }
    }

    /// A PUBLISH was written, with packet identifier 0 at QoS 0. `flushed`: it was certainly sent. Returns what is
    /// to be called then.
    pub fn written(
        &mut self,
        packet_identifier: u16,
        flushed: bool,
        now: Instant,
    ) -> Result<Option<OnWritten>, Violation> {
        // a retransmission, which `retransmissions` has recorded
        if let Some(sequence) = self.sent.get(&packet_identifier).filter(|_| packet_identifier != 0) {
            self.unwritten.remove(sequence);
            return Ok(None);
        }
        let violation = Violation::Written(packet_identifier);
        let sequence = self.handed_over.ok_or(violation)?;
        let entry = self.entries.get_mut(&sequence).ok_or(violation)?;
        let at_most_once = entry.message.qos == Qos::AtMostOnce;
        if at_most_once != (packet_identifier == 0) {
            return Err(violation);
        }
        let on_written = entry.caller.as_mut().and_then(|caller| caller.on_written.take());
        if at_most_once {
            let is_sent = flushed && !entry.interrupted;
            self.settle(sequence, if is_sent { Ok(Published::HandedOver) } else { Err(Failure::Unknown) });
            return Ok(None);
        }
        (entry.state, entry.reached) = (State::Sent { packet_identifier, since: now }, Reached::Network);
        self.handed_over = None;
        self.sent.insert(packet_identifier, sequence);
        Ok(on_written)
    }

    /// An acknowledgement came, in MQTT 5 with its reason code, and perhaps with the broker's reason string.
    pub fn acknowledged(
        &mut self,
        kind: Acknowledgement,
        packet_identifier: u16,
        code: Option<u8>,
        words: Option<Arc<str>>,
    ) -> Result<(), Violation> {
        let violation = Violation::Acknowledgement { kind, packet_identifier };
        let sequence = *self.sent.get(&packet_identifier).ok_or(violation)?;
        let entry = &self.entries[&sequence];
        let refused = code.filter(|&code| code >= 0x80);
        // of a message that was sent on an earlier connection, a subscriber may have had the first copy
        let is_known = |code: &u8| *code != NO_MATCHING_SUBSCRIBERS || entry.losses == Losses::default();
        let success =
            |code: Option<u8>| Ok(Published::Acknowledged { packet_identifier, reason_code: code.filter(is_known) });
        match (entry.message.qos, kind, entry.received) {
            (Qos::AtLeastOnce, Acknowledgement::PubAck, _) => {
                self.settle(sequence, refused.map_or(success(code), |code| Err(Failure::refused(code, words))));
            }
            (Qos::ExactlyOnce, Acknowledgement::PubRec, false) => match refused {
                Some(code) => self.settle(sequence, Err(Failure::refused(code, words))),
                None => self.change(sequence, |entry| (entry.received, entry.reason_code) = (true, code)),
            },
            // in MQTT 3.1.1 RabbitMQ takes QoS 2 for QoS 1, against the specification, but it has the message
            (Qos::ExactlyOnce, Acknowledgement::PubAck, false) if code.is_none() => {
                self.settle(sequence, success(None));
            }
            // whatever its code: the broker has the message since its PUBREC, and "packet identifier not found" is no
            // error after a reconnection (MQTT 5, 3.7.2.1)
            (Qos::ExactlyOnce, Acknowledgement::PubComp, true) => {
                let code = entry.reason_code;
                self.settle(sequence, success(code));
            }
            _ => return Err(violation),
        }
        Ok(())
    }

    /// The outcomes since the last call, with their callers.
    pub fn take_settled(&mut self) -> Settled {
        std::mem::take(&mut self.settled)
    }

    fn take_packet_identifier(&mut self, sequence: Sequence) {
        let qos = self.entries[&sequence].message.qos;
        let ordinal = self.packet_identifiers.take_for(sequence, qos);
        self.change(sequence, |entry| entry.ordinal = Some(ordinal));
    }

    fn sends_a_suspect(&self) -> bool {
        // other messages than a suspect were sent before it became one; a suspect itself is sent alone
        self.sent.len() == 1 && self.sent.values().any(|sequence| self.entries[sequence].losses.is_suspicious())
    }

    fn change(&mut self, sequence: Sequence, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            change(entry);
        }
    }

    /// Gives the caller its outcome, once, or tells a later one to whom that matters.
    fn notify(&mut self, sequence: Sequence, outcome: Outcome) {
        self.clear_deadline(sequence);
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        match entry.caller.take() {
            Some(caller) => entry.late = self.settled.tell(caller, outcome),
            None => self.settled.tell_late(entry.late.take(), outcome),
        }
    }

    /// Gives the caller its outcome and forgets the message.
    fn settle(&mut self, sequence: Sequence, outcome: Outcome) {
        self.notify(sequence, outcome);
        let Some(entry) = self.entries.remove(&sequence) else { return };
        self.settled.forget(None, entry.late);
        entry.stored.map(|stored| self.unsent.remove(&stored));
        if let Some(ordinal) = entry.ordinal {
            self.packet_identifiers.release(ordinal);
        }
        match entry.state {
            State::Waiting => self.waiting.remove(sequence),
            State::HandedOver { .. } => self.handed_over = None,
            State::Sent { packet_identifier, .. } => drop(self.sent.remove(&packet_identifier)),
        }
    }
}

#[cfg(test)]
mod tests;
