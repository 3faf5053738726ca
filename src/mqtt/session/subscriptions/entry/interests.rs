//! Callers, readers and requesters of a topic filter: how they come, are answered, and leave.

use std::time::Instant;

use super::Entry;
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::interest::Interest;
use crate::mqtt::session::subscriptions::waiter::{Answer, Caller, Waiter};

impl Entry {
    /// The answer that a caller with this interest gets at once, without the broker.
    pub fn satisfies(&self, interest: Interest) -> Option<u8> {
        let granted = self.state.granted();
        match interest {
            Interest::Record(qos) => {
                granted.filter(|_| self.api == Some(qos) || self.file.is_some_and(|(of_file, _)| of_file == qos))
            }
            // a reader may begin even while the broker is away
            Interest::Read { qos, .. } => {
                self.last_grant.filter(|(requested, _)| *requested >= qos).map(|(_, granted)| granted)
            }
            Interest::Responses => granted,
            // the broker sends the retained message only after a SUBSCRIBE
            Interest::Fetch(_) => None,
            Interest::Unsubscribe => {
                let is_read = self.readers + self.requesters > 0 || self.lingers_until.is_some();
                (self.api.is_none() || is_read).then_some(0)
            }
        }
    }

    /// An interest was granted. A reader of retained messages has it subscribed to again where it `may_renew`.
    pub fn take_on(&mut self, interest: Interest, may_renew: bool) {
        match interest {
            Interest::Record(qos) if self.file.is_none() => self.api = Some(qos),
            Interest::Record(_) => {}
            Interest::Unsubscribe => self.api = None,
            Interest::Read { qos, .. } | Interest::Fetch(qos) => {
                self.reader_qos = if self.readers == 0 { qos } else { self.reader_qos.max(qos) };
                self.readers += 1;
                if !matches!(interest, Interest::Fetch(_)) {
                    self.lingers_until = None;
                }
                self.renew |= may_renew && interest == (Interest::Read { qos, retained: true });
            }
            Interest::Responses => {
                self.requesters += 1;
                self.lingers_until = None;
            }
        }
    }

    /// A reader or requester has left. Returns whether it was the last one: then the filter lingers `until` then. It
    /// does not after a fetch: some brokers send the retained message for the first SUBSCRIBE alone.
    pub fn leave(&mut self, interest: Interest, until: Instant) -> bool {
        match interest {
            Interest::Read { .. } | Interest::Fetch(_) => self.readers = self.readers.saturating_sub(1),
            Interest::Responses => self.requesters = self.requesters.saturating_sub(1),
            Interest::Record(_) | Interest::Unsubscribe => {}
        }
        let is_last = self.readers + self.requesters == 0;
        let lingers = is_last && !matches!(interest, Interest::Fetch(_));
        self.lingers_until = lingers.then_some(until).or(self.lingers_until);
        is_last
    }

    /// Ends the API's subscription without the broker, while there are readers or requesters.
    pub fn end_beside_readers(&mut self) -> Vec<(Caller, Answer)> {
        if self.readers + self.requesters == 0 {
            return Vec::new();
        }
        self.resolve(|waiter| waiter.interest == Interest::Unsubscribe, Ok(0))
    }

    /// Another subscription brings its messages, but no longer the retained ones.
    pub fn carried(&mut self, granted: u8) -> Vec<(Caller, Answer)> {
        self.last_grant = self.wanted().map(|qos| (qos, granted));
        self.end_gap();
        let mut settled =
            self.resolve(|waiter| matches!(waiter.interest, Interest::Fetch(_)), Err(Refusal::RetainedNotAvailable));
        settled.extend(self.resolve(|waiter| waiter.interest.qos().is_some(), Ok(granted)));
        settled
    }

    /// Answers some callers. A success takes effect at once.
    pub(super) fn resolve(&mut self, is_meant: impl Fn(&Waiter) -> bool, answer: Answer) -> Vec<(Caller, Answer)> {
        let meant: Vec<Waiter> = self.waiters.extract_if(.., |waiter| is_meant(waiter)).collect();
        meant
            .into_iter()
            .map(|waiter| {
                if answer.is_ok() {
                    self.take_on(waiter.interest, false);
                }
                (waiter.caller, answer)
            })
            .collect()
    }

    /// Answers callers whose deadline has come, and readers that may begin. Ends lingering that is over.
    pub fn expire(&mut self, now: Instant, is_connected: bool) -> Vec<(Caller, Answer)> {
        if self.lingers_until.is_some_and(|until| until <= now) {
            self.lingers_until = None;
            if !self.is_read() {
                self.buffer = None;
            }
        }
        let mut settled = self.resolve(|waiter| waiter.begins(now, is_connected), Ok(0));
        let late: Vec<Waiter> = self.waiters.extract_if(.., |waiter| waiter.deadline <= now).collect();
        settled.extend(late.into_iter().map(|waiter| {
            if waiter.interest == Interest::Unsubscribe && waiter.ever_sent {
                // the UNSUBSCRIBE was sent, whatever the broker answers
                self.api = None;
            }
            let refusal = match waiter.ever_sent {
                true => Refusal::Unknown,
                false if is_connected => Refusal::Busy,
                false => Refusal::NotConnected,
            };
            (waiter.caller, Err(refusal))
        }));
        settled
    }
}
