//! What operations, answers and connections change about a topic filter.

use super::Entry;
use super::broker_state::BrokerState;
use crate::message::Qos;
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::interest::Interest;
use crate::mqtt::session::subscriptions::waiter::{Answer, Caller, Waiter};

/// A filter that was never granted is given up after so many connections that ended before the broker answered.
const MAX_LOSSES: u8 = 2;
/// The reason code of an unspecified error (MQTT 5, 2.4).
const UNSPECIFIED: u8 = 128;

impl Entry {
    /// A SUBSCRIBE with this quality of service, or an UNSUBSCRIBE, was handed over; `number` is the number of the
    /// operation.
    pub fn sent(&mut self, qos: Option<Qos>, number: u64) {
        let before = self.state.granted();
        self.state = qos.map_or(BrokerState::Unsubscribing, |qos| BrokerState::Subscribing { qos, before });
        for waiter in self.waiters.iter_mut().filter(|waiter| waiter.interest.qos().is_some() == qos.is_some()) {
            (waiter.sent, waiter.ever_sent) = (true, true);
        }
        if qos.is_some() {
            self.last_subscribe = number;
            self.generation += 1;
            self.renew = false;
            self.may_be_kept = true;
            self.general_generation.get_or_insert(self.generation);
            if self.is_awaited(|interest| matches!(interest, Interest::Record(_))) {
                self.journal_generation = self.generation;
            }
        }
    }

    /// The broker has answered a SUBSCRIBE; a SUBACK without an answer is a refusal.
    pub fn subscribed(&mut self, answer: Option<Result<u8, u8>>) -> Vec<(Caller, Answer)> {
        let requested = self.requested_qos();
        let is_meant = |waiter: &Waiter| waiter.sent && waiter.interest.qos().is_some();
        match answer.unwrap_or(Err(UNSPECIFIED)) {
            Ok(granted) => {
                self.state = BrokerState::Subscribed { requested, granted };
                self.last_grant = Some((requested, granted));
                self.end_gap();
                self.resolve(is_meant, Ok(granted))
            }
            Err(code) => {
                self.state = BrokerState::Refused(code);
                (self.last_grant, self.may_be_kept) = (None, false);
                self.refuse_readers(Refusal::Refused(code));
                self.resolve(is_meant, Err(Refusal::Refused(code)))
            }
        }
    }

    /// The broker has answered an UNSUBSCRIBE, with the reason code of a failure.
    pub fn unsubscribed(&mut self, failure: Option<u8>) -> Vec<(Caller, Answer)> {
        let is_meant = |waiter: &Waiter| waiter.interest == Interest::Unsubscribe;
        let (Some(code), Some((requested, granted))) = (failure, self.last_grant) else {
            self.set_absent();
            return self.resolve(is_meant, Ok(0));
        };
        let settled = self.resolve(is_meant, Err(Refusal::Refused(code)));
        // where it is not wanted, a repetition would be of no use
        if self.wanted().is_some() {
            self.state = BrokerState::Subscribed { requested, granted };
        } else {
            self.set_absent();
        }
        settled
    }

    fn set_absent(&mut self) {
        self.state = self.at_rest();
        (self.last_grant, self.may_be_kept) = (None, false);
    }

    /// A connection came about. With a gap, messages since the last one are lost: readers are told when messages come
    /// again.
    pub fn connected(&mut self, session_present: bool, has_gap: bool) {
        if has_gap {
            self.buffer.iter().for_each(|buffer| buffer.begin_gap());
        }
        (self.general_generation, self.has_retained) = (None, false);
        self.may_be_kept &= session_present;
    }

    /// The connection ended.
    pub fn disconnected(&mut self, is_kept: bool) -> Vec<(Caller, Answer)> {
        let was_unanswered = matches!(self.state, BrokerState::Subscribing { .. }) && self.last_grant.is_none();
        self.state = self.at_rest();
        self.may_be_kept &= is_kept;
        self.waiters.iter_mut().for_each(|waiter| waiter.sent = false);
        self.losses = if was_unanswered { self.losses + 1 } else { 0 };
        // perhaps the broker ended the connection over it
        if self.losses < MAX_LOSSES {
            return Vec::new();
        }
        self.losses = 0;
        // nor may the next connection end over it for the readers that are there
        if self.readers > 0 && self.file.is_none() && self.api.is_none() {
            self.state = BrokerState::Refused(UNSPECIFIED);
            self.refuse_readers(Refusal::Unknown);
        }
        self.resolve(|waiter| waiter.ever_sent, Err(Refusal::Unknown))
    }

    /// From now on no messages are missing.
    pub(super) fn end_gap(&self) {
        self.buffer.iter().for_each(|buffer| buffer.end_gap());
    }

    /// Tells readers that no messages come for now.
    pub(super) fn refuse_readers(&self, refusal: Refusal) {
        if let Some(buffer) = self.buffer.as_ref().filter(|_| self.readers > 0) {
            buffer.refuse(refusal);
        }
    }
}
