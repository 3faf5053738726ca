//! What a resumed session sends again.

use std::time::Instant;

use super::InFlight;
use super::entry::{Sequence, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::Retransmission;

impl<R> InFlight<R> {
    /// A connection is there. If it resumed the session, retransmissions go before anything else.
    pub fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.forget_session();
        }
    }

    /// What may be sent again now, in the order of acceptance, with at most `size` unacknowledged at a time.
    pub fn retransmissions(&mut self, size: u16, now: Instant) -> Vec<Retransmission> {
        let mut on_the_way = 0;
        let mut suspects = 0;
        let mut candidates = Vec::new();
        let mut of_session: Vec<Sequence> = self.sent.values().copied().collect();
        of_session.sort_unstable();
        for sequence in of_session {
            let entry = &self.entries[&sequence];
            if entry.is_sent_here() {
                on_the_way += 1;
            } else {
                candidates.push(sequence);
            }
            suspects += usize::from(entry.losses.is_suspicious());
        }
        let size = if suspects > 0 { 1 } else { usize::from(size) };
        candidates.truncate(size.saturating_sub(on_the_way));
        candidates.into_iter().filter_map(|sequence| self.send_again(sequence, now)).collect()
    }

    /// Settles what the session has to send again and this broker does not take. Returns whether there was any: then
    /// the session cannot be resumed.
    pub fn give_up_retransmissions(&mut self, can_be_sent: impl Fn(&Message) -> bool) -> bool {
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

    fn send_again(&mut self, sequence: Sequence, now: Instant) -> Option<Retransmission> {
        self.take_packet_identifier(sequence);
        let entry = self.entries.get_mut(&sequence)?;
        let State::Sent { packet_identifier, since, on_this_connection } = &mut entry.state else {
            return None;
        };
        (*since, *on_this_connection) = (now, true);
        Some(if entry.received {
            Retransmission::PubRel(*packet_identifier)
        } else {
            Retransmission::Publish(*packet_identifier, entry.message.clone())
        })
    }
}
