//! What becomes of messages when their connection ends.

use super::InFlight;
use super::entry::{Reached, Sequence, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;

/// Over which message a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Unknown, perhaps over a message.
    Unknown,
    /// Over none.
    Elsewhere,
    /// The broker refused a message.
    Message {
        /// The reason code.
        code: u8,
        /// It came in the answer to a message at QoS 1 or 2; otherwise it may be about something else.
        is_certain: bool,
    },
}

/// What the end of a connection showed about its messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// A message was given up: the session's packet identifiers can no longer be trusted.
    pub given_up: bool,
    /// It is known which message was refused, or which ones are to be tried alone: no pause is needed.
    pub found: bool,
    /// This message was refused.
    pub refused: Option<Message>,
}

impl InFlight {
    /// The connection ended. Without a session that may be kept, an unacknowledged message is sent anew if its caller
    /// still waits, and is forgotten otherwise.
    pub fn lost(&mut self, session_may_be_kept: bool, blame: Blame) -> Aftermath {
        (self.window, self.awaited) = (None, None);
        self.unwritten.clear();
        if let Some(sequence) = self.handed_over.take() {
            self.wait_again(sequence);
        }
        let suspects = self.suspects();
        let aftermath = match blame {
            Blame::Message { code, is_certain } if !suspects.is_empty() => self.blame(&suspects, code, is_certain),
            Blame::Elsewhere => Aftermath::default(),
            _ => Aftermath { given_up: self.count_losses(), ..Aftermath::default() },
        };
        self.packet_identifiers.clear();
        if !session_may_be_kept {
            self.forget_session();
        }
        aftermath
    }

    /// The messages that the broker may have refused: sent on this connection and not received. A message of a resumed
    /// session that was not sent again is none of them.
    fn suspects(&self) -> Vec<Sequence> {
        let mut suspects = self.sent();
        suspects.retain(|sequence| self.is_sent_here(*sequence) && !self.entries[sequence].received);
        suspects
    }

    /// One of these was refused: the only one, or else each of them is tried alone.
    fn blame(&mut self, suspects: &[Sequence], code: u8, is_certain: bool) -> Aftermath {
        // the code may be in the answer to a PUBREL
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

    /// The connection ended for an unknown reason. Returns whether a message was given up, as too many connections
    /// ended that it was sent on.
    fn count_losses(&mut self) -> bool {
        let mut given_up = false;
        for sequence in self.sent() {
            let is_sent_here = self.is_sent_here(sequence);
            self.change(sequence, |entry| entry.losses.count += u8::from(is_sent_here));
            if self.entries[&sequence].losses.are_too_many() {
                self.settle(sequence, Err(Failure::GivenUp));
                given_up = true;
            }
        }
        given_up
    }

    /// Settles what the broker is known to refuse, whether it was sent or not.
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

    /// The session is gone: a message that was sent is sent anew if its caller waits, with a packet identifier of the
    /// new session.
    pub(super) fn forget_session(&mut self) {
        for sequence in self.sent() {
            self.wait_again(sequence);
        }
        self.sent.clear();
    }

    fn wait_again(&mut self, sequence: Sequence) {
        let entry = &self.entries[&sequence];
        let is_promised = matches!(entry.state, State::HandedOver { is_promised: true, .. });
        let is_stored = entry.stored.is_some();
        if entry.caller.is_none() && !is_promised {
            let never_left = entry.reached < Reached::Network;
            let late = self.entries.remove(&sequence).and_then(|entry| entry.late);
            let outcome = if never_left { Failure::NotConnected } else { Failure::Unknown };
            self.settled.tell_late(late, Err(outcome));
            return;
        }
        // a caller that had its outcome at the hand-over has no deadline any more, and its message needs one
        self.set_deadline(sequence);
        self.change(sequence, |entry| {
            entry.state = State::Waiting;
            entry.interrupted = false;
            entry.received = false;
        });
        self.waiting.insert(sequence, is_stored);
    }
}
