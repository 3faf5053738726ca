//! What becomes of messages when their connection ends, and what a resumed session still owes.

use std::time::Instant;

use super::{InFlight, Sequence, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::Owed;

/// A message that was lost this often is sent alone, so that it is known which one the broker cannot take.
const SUSPECT_TRIES: u8 = 2;
/// How often a message may be sent on connections that end before it is acknowledged.
const MAX_TRIES: u8 = 3;

/// The connections that ended while a message was unacknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Those that ended for a reason that nobody knows.
    count: u8,
    /// One ended over a message that may have been this one.
    is_accused: bool,
}

impl Losses {
    /// Whether the message may be what they ended over: then it is sent alone.
    pub fn is_suspicious(self) -> bool {
        self.is_accused || self.count >= SUSPECT_TRIES
    }
}

/// Over what a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody knows: perhaps over a message.
    Unknown,
    /// Over no message that was on its way.
    Elsewhere,
    /// The broker refused a message.
    Message {
        /// The reason code.
        code: u8,
        /// It was the answer to a message at QoS 1 or 2; otherwise it may be about something else.
        is_certain: bool,
    },
}

/// What the end of a connection showed about its messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// A message was given up: the session's packet identifiers can no longer be trusted.
    pub given_up: bool,
    /// It is known which message was refused, or which ones are to be tried alone: there is no need for a pause.
    pub found: bool,
    /// This message was refused.
    pub refused: Option<Message>,
}

impl<R> InFlight<R> {
    /// There is a connection, which takes no messages before the broker has done this.
    pub fn awaits(&mut self, what: &'static str) {
        self.awaited = Some(what);
    }

    /// The connection ended. A session that may be resumed keeps what it owes; otherwise what is unacknowledged and still
    /// waited for is to be sent anew, and what nobody waits for is forgotten.
    pub fn lost(&mut self, session_may_be_kept: bool, blame: Blame) -> Aftermath {
        (self.window, self.awaited) = (None, None);
        self.paused = false;
        self.turns.clear();
        self.reserved.clear();
        if let Some(sequence) = self.handed_over.take() {
            self.wait_again(sequence);
        }
        for sequence in self.sent.values().copied().collect::<Vec<_>>() {
            self.change(sequence, |entry| entry.turn = None);
        }
        let suspects = self.suspects();
        let aftermath = match blame {
            Blame::Message { code, is_certain } if !suspects.is_empty() => self.blame(&suspects, code, is_certain),
            Blame::Elsewhere => Aftermath::default(),
            _ => Aftermath { given_up: self.count_losses(), ..Aftermath::default() },
        };
        if !session_may_be_kept {
            self.forget_session();
        }
        aftermath
    }

    /// Those that the broker may have refused: sent on this connection, which a resumed session's message that was not
    /// sent again is not, and not received yet.
    fn suspects(&self) -> Vec<Sequence> {
        let is_suspect = |sequence: &Sequence| {
            let entry = &self.entries[sequence];
            matches!(entry.state, State::Sent { on_this_connection: true, .. }) && !entry.received
        };
        self.sent.values().copied().filter(is_suspect).collect()
    }

    /// One of these was refused: the only one, or each of them is tried alone.
    fn blame(&mut self, suspects: &[Sequence], code: u8, is_certain: bool) -> Aftermath {
        // it may be the answer to a PUBREL
        let is_certain = is_certain && !self.sent.values().any(|sequence| self.entries[sequence].received);
        let mut aftermath = Aftermath { found: true, ..Aftermath::default() };
        match suspects {
            [guilty] if is_certain || self.entries[guilty].losses.is_suspicious() => {
                aftermath.refused = Some(self.entries[guilty].message.clone());
                // the exchange has ended with the refusal (MQTT 5, 4.3.2 and 4.3.3): its packet identifier is free
                self.settle(*guilty, Err(Failure::Refused(code)));
            }
            _ => suspects.iter().for_each(|sequence| self.change(*sequence, |entry| entry.losses.is_accused = true)),
        }
        aftermath
    }

    /// Nobody knows why the connection ended. Returns whether a message was given up, as it was sent on too many that did.
    fn count_losses(&mut self) -> bool {
        let mut given_up = false;
        for sequence in self.sent.values().copied().collect::<Vec<_>>() {
            self.change(sequence, |entry| {
                if let State::Sent { on_this_connection: true, .. } = entry.state {
                    entry.losses.count += 1;
                }
            });
            if self.entries[&sequence].losses.count >= MAX_TRIES {
                self.settle(sequence, Err(Failure::GivenUp));
                given_up = true;
            }
        }
        given_up
    }

    /// Settles what the broker is known to refuse, be it sent or not.
    pub fn refuse_all(&mut self, failure: impl Fn(&Message) -> Option<Failure>) {
        let refused: Vec<(Sequence, Failure)> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.received && !matches!(entry.state, State::HandedOver { .. }))
            .filter_map(|(sequence, entry)| Some((*sequence, failure(&entry.message)?)))
            .collect();
        for (sequence, failure) in refused {
            self.settle(sequence, Err(failure));
        }
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
            suspects += usize::from(entry.losses.is_suspicious());
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
            self.entries.remove(&sequence);
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
