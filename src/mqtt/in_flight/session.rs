//! What becomes of messages when their connection ends, and what a resumed session still owes.

use std::time::Instant;

use super::{InFlight, SUSPECT_TRIES, Sequence, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;

/// How often a message may be sent on connections that end before it is acknowledged.
const MAX_TRIES: u8 = 3;

/// What a resumed session still owes the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// A PUBLISH, again.
    Publish(u16, Message),
    /// The PUBREL of a PUBLISH that the broker has received.
    PubRel(u16),
}

impl<R> InFlight<R> {
    /// The connection ended. A session that may be resumed keeps what it owes; otherwise what is unacknowledged and
    /// still waited for is to be sent anew, and what nobody waits for is forgotten. Returns whether something was given
    /// up, so that the session's packet identifiers can no longer be trusted.
    pub fn lost(&mut self, session_may_be_kept: bool) -> bool {
        let mut given_up = false;
        self.window = None;
        self.paused = false;
        self.turns.clear();
        self.reserved.clear();
        if let Some(sequence) = self.handed_over.take() {
            self.wait_again(sequence);
        }
        for sequence in self.sent.values().copied().collect::<Vec<_>>() {
            self.change(sequence, |entry| {
                // a resumed session's message that was not sent again on this connection did not end it
                if let State::Sent { on_this_connection: true, .. } = entry.state {
                    entry.losses += 1;
                }
                entry.turn = None;
            });
            if self.entries[&sequence].losses >= MAX_TRIES {
                self.settle(sequence, Err(Failure::GivenUp));
                given_up = true;
            }
        }
        if !session_may_be_kept {
            self.forget_session();
        }
        given_up
    }

    /// A connection is there; if it resumed the session, what is owed must be sent before anything else.
    pub fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.forget_session();
        }
        for sequence in self.sent.values().copied().collect::<Vec<_>>() {
            self.change(sequence, |entry| {
                if let State::Sent { on_this_connection, .. } = &mut entry.state {
                    *on_this_connection = false;
                }
            });
        }
    }

    /// What is owed and may be sent now, `size` unacknowledged at a time, in the order of acceptance.
    pub fn owed(&mut self, size: u16, now: Instant) -> Vec<Owed> {
        let mut on_the_way = 0;
        let mut suspects = 0;
        let mut candidates = Vec::new();
        let mut of_session: Vec<Sequence> = self.sent.values().copied().collect();
        of_session.sort_unstable();
        for sequence in of_session {
            let entry = &self.entries[&sequence];
            match entry.state {
                State::Sent { on_this_connection: true, .. } => on_the_way += 1,
                _ => candidates.push(sequence),
            }
            suspects += usize::from(entry.losses >= SUSPECT_TRIES);
        }
        let size = if suspects > 0 { 1 } else { usize::from(size) };
        candidates.truncate(size.saturating_sub(on_the_way));
        candidates.into_iter().filter_map(|sequence| self.send_owed(sequence, now)).collect()
    }

    /// Settles what is owed and cannot be sent to this broker. Returns whether there was any: then the session cannot be
    /// resumed.
    pub fn give_up_owed(&mut self, can_be_sent: impl Fn(&Message) -> bool) -> bool {
        let sent: Vec<Sequence> = self.sent.values().copied().collect();
        let cannot = |sequence: &Sequence| {
            let entry = &self.entries[sequence];
            !entry.received && !can_be_sent(&entry.message)
        };
        let given_up: Vec<Sequence> = sent.into_iter().filter(cannot).collect();
        for sequence in &given_up {
            self.settle(*sequence, Err(Failure::Unknown));
        }
        !given_up.is_empty()
    }

    fn send_owed(&mut self, sequence: Sequence, now: Instant) -> Option<Owed> {
        self.take_turn(sequence);
        let entry = self.entries.get_mut(&sequence)?;
        let State::Sent { packet_identifier, since, on_this_connection } = &mut entry.state else {
            return None;
        };
        (*since, *on_this_connection) = (now, true);
        Some(if entry.received {
            Owed::PubRel(*packet_identifier)
        } else {
            Owed::Publish(*packet_identifier, entry.message.clone())
        })
    }

    /// The session is gone: what was sent is sent anew if somebody waits for it, with the identifiers of a new session.
    fn forget_session(&mut self) {
        let sent: Vec<Sequence> = self.sent.drain().map(|(_, sequence)| sequence).collect();
        for sequence in sent {
            self.wait_again(sequence);
        }
    }

    fn wait_again(&mut self, sequence: Sequence) {
        let entry = &self.entries[&sequence];
        let is_promised = matches!(entry.state, State::HandedOver { is_promised: true, .. });
        if entry.caller.is_none() && !is_promised {
            self.remove(sequence);
            return;
        }
        // again, where that was told before
        self.deadlines.insert((entry.deadline, sequence));
        self.change(sequence, |entry| {
            entry.state = State::Waiting;
            entry.turn = None;
            entry.interrupted = false;
            entry.received = false;
        });
        self.waiting.insert(sequence);
    }
}
