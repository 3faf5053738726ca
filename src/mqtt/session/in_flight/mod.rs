//! Every message that was accepted and is not yet settled, and what is known of it. Does no I/O.
//!
//! An entry waits until it may be handed to the connection, is handed over (one at a time, so that next to nothing
//! can leave late), is sent, and is settled by an acknowledgement, a refusal, a loss or its deadline. Who waits for it
//! is told once, whatever happens; an entry whose caller was told may stay, so that a late acknowledgement finds it.
//!
//! The MQTT client gives packet identifiers in turn and tells of them in the order of hand-over. So that none is used
//! twice at a time, the unfinished hand-overs of a connection lie within one cycle of identifiers (rumqtt#1014).

mod acknowledgement;
mod session;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use acknowledgement::Violation;
pub use session::{Aftermath, Blame};

use self::session::Losses;
use crate::memory::Share;
use crate::message::{Message, Qos};
use crate::mqtt::outcome::{Failure, Outcome, Published};
use crate::mqtt::protocol::{Acknowledgement, Window};
use crate::mqtt::reason::NO_MATCHING_SUBSCRIBERS;

/// How long after its deadline a message may still leave because it was already handed over.
const OVERDUE: Duration = Duration::from_millis(100);

/// The table. `R` is who waits for an outcome.
pub struct InFlight<R> {
    entries: BTreeMap<Sequence, Entry<R>>,
    waiting: BTreeSet<Sequence>,
    handed_over: Option<Sequence>,
    sent: HashMap<u16, Sequence>,
    /// The unfinished messages of this connection that have a packet identifier, in the order of hand-over.
    turns: BTreeMap<u64, Sequence>,
    /// The turns of packets that are none of ours, and take packet identifiers too.
    reserved: BTreeSet<u64>,
    deadlines: BTreeSet<(Instant, Sequence)>,
    settled: Vec<(R, Outcome)>,
    window: Option<Window>,
    /// What a connection without a window is yet to do.
    awaited: Option<&'static str>,
    paused: bool,
    max_waiting: usize,
    next_sequence: Sequence,
    next_turn: u64,
}

/// The order of acceptance.
type Sequence = u64;

struct Entry<R> {
    message: Message,
    /// What it takes of the memory; messages of our own take none.
    _share: Option<Share>,
    /// `None` once the caller was told.
    caller: Option<R>,
    deadline: Instant,
    state: State,
    /// Whether a connection ever had it: then only the broker can know.
    ever_handed_over: bool,
    losses: Losses,
    turn: Option<u64>,
    /// The library was interrupted while it had the message and had not told that it was written.
    interrupted: bool,
    /// The PUBREC has come: the broker has the message.
    received: bool,
    /// Of the PUBREC, in MQTT 5.
    reason_code: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// What is promised was told at the hand-over.
    HandedOver {
        since: Instant,
        is_promised: bool,
    },
    Sent {
        packet_identifier: u16,
        since: Instant,
        on_this_connection: bool,
    },
}

impl<R> InFlight<R> {
    /// An empty table for at most `max_waiting` unsettled messages.
    pub fn new(max_waiting: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            handed_over: None,
            sent: HashMap::new(),
            turns: BTreeMap::new(),
            reserved: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            settled: Vec::new(),
            window: None,
            awaited: None,
            paused: false,
            max_waiting,
            next_sequence: 0,
            next_turn: 0,
        }
    }

    /// Tells a caller that its message is not taken.
    pub fn reject(&mut self, caller: R, failure: Failure) {
        self.settled.push((caller, Err(failure)));
    }

    /// Takes a message with the memory that it takes, whose caller is told of its outcome at the deadline at the latest.
    pub fn accept(&mut self, message: Message, share: Share, deadline: Instant, caller: R) {
        if self.unsettled() >= self.max_waiting {
            return self.reject(caller, Failure::TooManyWaiting);
        }
        self.insert(message, Some(share), deadline, caller);
    }

    /// The same, however much waits already.
    pub fn admit(&mut self, message: Message, deadline: Instant, caller: R) {
        self.insert(message, None, deadline, caller);
    }

    fn insert(&mut self, message: Message, share: Option<Share>, deadline: Instant, caller: R) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let state = State::Waiting;
        let caller = Some(caller);
        let entry = Entry {
            message,
            _share: share,
            caller,
            deadline,
            state,
            ever_handed_over: false,
            losses: Losses::default(),
            turn: None,
            interrupted: false,
            received: false,
            reason_code: None,
        };
        self.entries.insert(sequence, entry);
        self.waiting.insert(sequence);
        self.deadlines.insert((deadline, sequence));
    }

    /// The message that is to be handed over now, if there is one and the connection takes it.
    pub fn next(&self) -> Option<&Message> {
        let window = self.window.filter(|_| self.handed_over.is_none() && !self.paused)?;
        let entry = &self.entries[self.waiting.first()?];
        let free = self.sent.len() < usize::from(window.size) && self.has_turn(window.cycle);
        let alone = self.sent.is_empty() || (!entry.losses.is_suspicious() && !self.sends_a_suspect());
        (free && alone).then_some(&entry.message)
    }

    /// The message of [`Self::next`] was handed over to a live connection, and at QoS 0 that is the outcome: the caller is
    /// told, unless it waits until the message is written. One that is lost before that waits for the next connection.
    pub fn hand_over(&mut self, now: Instant, waits_on: impl FnOnce(&R) -> bool) {
        let Some(sequence) = self.waiting.pop_first() else { return };
        let entry = &self.entries[&sequence];
        let at_most_once = entry.message.qos == Qos::AtMostOnce;
        let is_promised = at_most_once && !entry.caller.as_ref().is_some_and(waits_on);
        self.handed_over = Some(sequence);
        self.change(sequence, |entry| {
            entry.state = State::HandedOver { since: now, is_promised };
            entry.ever_handed_over = true;
        });
        if is_promised {
            self.tell(sequence, Ok(Published::HandedOver));
        }
        if !at_most_once {
            self.take_turn(sequence);
        }
    }

    /// The message of [`Self::next`] cannot be sent to this broker; one that was sent before may be with it all the same.
    pub fn refuse(&mut self, failure: Failure) {
        if let Some(&sequence) = self.waiting.first() {
            let sent = self.entries[&sequence].ever_handed_over;
            self.settle(sequence, Err(if sent { Failure::Unknown } else { failure }));
        }
    }

    /// The library was interrupted: what was handed over may have left, or be dropped.
    pub fn interrupt(&mut self) -> bool {
        let handed_over = self.handed_over;
        if let Some(sequence) = handed_over {
            self.change(sequence, |entry| entry.interrupted = true);
        }
        handed_over.is_some()
    }

    /// A PUBLISH was written, with packet identifier 0 at QoS 0. `flushed` says whether it left us for certain. Returns
    /// who waits for its outcome still.
    pub fn written(
        &mut self,
        packet_identifier: u16,
        flushed: bool,
        now: Instant,
    ) -> Result<Option<&mut R>, Violation> {
        if packet_identifier != 0 && self.sent.contains_key(&packet_identifier) {
            return Ok(None);
        }
        let violation = Violation::Written(packet_identifier);
        let sequence = self.handed_over.take().ok_or(violation)?;
        let at_most_once = self.entries[&sequence].message.qos == Qos::AtMostOnce;
        if at_most_once != (packet_identifier == 0) {
            self.handed_over = Some(sequence);
            return Err(violation);
        }
        let flushed = flushed && !self.entries[&sequence].interrupted;
        if at_most_once {
            self.settle(sequence, if flushed { Ok(Published::HandedOver) } else { Err(Failure::Unknown) });
            return Ok(None);
        }
        self.sent.insert(packet_identifier, sequence);
        let state = State::Sent { packet_identifier, since: now, on_this_connection: true };
        self.change(sequence, |entry| entry.state = state);
        Ok(self.entries.get_mut(&sequence).and_then(|entry| entry.caller.as_mut()))
    }

    /// An acknowledgement came, with its reason code in MQTT 5, and perhaps with the broker's words.
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
        // of a message that was sent before, on a connection that ended, somebody may have had the first copy
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
            // in MQTT 3.1.1 RabbitMQ takes QoS 2 for QoS 1: not as the specification has it, but the message is with it
            (Qos::ExactlyOnce, Acknowledgement::PubAck, false) if code.is_none() => {
                self.settle(sequence, success(None));
            }
            // whatever its code: the broker has the message since its PUBREC, and what it may say here, that the
            // packet identifier is not found, is no error after a reconnection (MQTT 5, 3.7.2.1)
            (Qos::ExactlyOnce, Acknowledgement::PubComp, true) => {
                let code = entry.reason_code;
                self.settle(sequence, success(code));
            }
            _ => return Err(violation),
        }
        Ok(())
    }

    /// The connection takes messages from now on.
    pub fn ready(&mut self, window: Window) {
        self.window = Some(window);
    }

    /// Holds back what could be handed over, or no longer.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Tells the callers whose deadline has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, sequence)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, sequence));
            let entry = &self.entries[&sequence];
            let failure = match entry.ever_handed_over {
                true => Failure::Unknown,
                false if self.window.is_some() => Failure::Busy,
                false => self.awaited.map_or(Failure::NotConnected, Failure::NotReady),
            };
            if entry.state == State::Waiting {
                self.settle(sequence, Err(failure));
            } else {
                // it stays: its acknowledgement may come yet, and must not be taken for another's
                self.tell(sequence, Err(failure));
            }
        }
    }

    /// Tells every caller who still waits, because there is no more time.
    pub fn stop(&mut self) {
        for sequence in self.entries.keys().copied().collect::<Vec<_>>() {
            let failure = if self.entries[&sequence].ever_handed_over { Failure::Unknown } else { Failure::Stopping };
            self.settle(sequence, Err(failure));
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Since when the oldest unacknowledged message has been with the connection.
    pub fn oldest_unacknowledged(&self) -> Option<Instant> {
        let oldest = self.turns.first_key_value().map(|(_, sequence)| *sequence);
        let since = |sequence: Sequence| match self.entries[&sequence].state {
            State::HandedOver { since, .. } | State::Sent { since, .. } => Some(since),
            State::Waiting => None,
        };
        oldest.into_iter().chain(self.handed_over).filter_map(since).min()
    }

    /// When a message that was handed over, and not written, must not leave any more.
    pub fn overdue_at(&self) -> Option<Instant> {
        self.handed_over.map(|sequence| self.entries[&sequence].deadline + OVERDUE)
    }

    /// Messages whose callers wait to be told.
    pub fn unsettled(&self) -> usize {
        self.deadlines.len()
    }

    /// Who waits longest for an outcome.
    pub fn oldest_caller(&self) -> Option<&R> {
        self.entries.values().find_map(|entry| entry.caller.as_ref())
    }

    /// What the connection takes, if it takes anything.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// Messages that were sent and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sent.len()
    }

    /// The callers to be told since the last time, and what.
    pub fn take_settled(&mut self) -> Vec<(R, Outcome)> {
        std::mem::take(&mut self.settled)
    }

    fn sends_a_suspect(&self) -> bool {
        // whoever is sent beside a suspect was sent before it became one; a suspect itself is alone
        self.sent.len() == 1 && self.sent.values().any(|sequence| self.entries[sequence].losses.is_suspicious())
    }

    fn change(&mut self, sequence: Sequence, change: impl FnOnce(&mut Entry<R>)) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            change(entry);
        }
    }

    /// Tells the caller, if that was not done before.
    fn tell(&mut self, sequence: Sequence, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        self.deadlines.remove(&(entry.deadline, sequence));
        self.settled.extend(entry.caller.take().map(|caller| (caller, outcome)));
    }

    /// Tells the caller and forgets the message.
    fn settle(&mut self, sequence: Sequence, outcome: Outcome) {
        self.tell(sequence, outcome);
        let Some(entry) = self.entries.remove(&sequence) else { return };
        if let Some(turn) = entry.turn {
            self.turns.remove(&turn);
        }
        match entry.state {
            State::Waiting => drop(self.waiting.remove(&sequence)),
            State::HandedOver { .. } => self.handed_over = None,
            State::Sent { packet_identifier, .. } => drop(self.sent.remove(&packet_identifier)),
        }
    }
}

#[cfg(test)]
mod tests;
