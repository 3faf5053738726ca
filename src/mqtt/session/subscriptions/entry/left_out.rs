//! A topic filter that is left out for a while.

use std::time::{Duration, Instant};

use super::Entry;
use super::broker_state::BrokerState;
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::waiter::{Answer, Caller};

/// Since a filter ended a connection, until it has passed its probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// `None` while it is tried again.
    pub until: Option<Instant>,
    /// For how long it is left out.
    pub pause: Duration,
    /// How long it was on probation when it was found.
    pub probation: Duration,
    /// The reason code, if the broker refused it; otherwise connections ended over it.
    pub code: Option<u8>,
}

impl LeftOut {
    fn refusal(self) -> Refusal {
        self.code.map_or(Refusal::LeftOut, Refusal::Refused)
    }
}

impl Entry {
    /// Its state at the broker without an operation.
    pub(super) fn at_rest(&self) -> BrokerState {
        match self.left_out.filter(|left_out| left_out.until.is_some()) {
            None => BrokerState::Absent,
            Some(LeftOut { code: Some(code), .. }) => BrokerState::Refused(code),
            Some(LeftOut { code: None, .. }) => BrokerState::LeftOut,
        }
    }

    /// It is no longer subscribed to.
    pub fn leave_out(&mut self, left_out: LeftOut) -> Vec<(Caller, Answer)> {
        self.left_out = Some(left_out);
        (self.state, self.last_grant, self.renew) = (self.at_rest(), None, false);
        self.refuse_readers(left_out.refusal());
        self.resolve(|waiter| waiter.interest.qos().is_some(), Err(left_out.refusal()))
    }

    /// Lets it be subscribed to again if the pause is over and it is wanted.
    pub fn try_again(&mut self, now: Instant) {
        if self.left_out.is_some_and(|left_out| left_out.until.is_some_and(|until| until <= now)) {
            self.left_out = self.left_out.filter(|_| self.wanted().is_some());
            if let Some(left_out) = &mut self.left_out {
                left_out.until = None;
            }
            self.state = self.at_rest();
        }
    }

    /// Why new interests are refused, if it is left out now.
    pub fn is_left_out(&self) -> Option<Refusal> {
        self.left_out.filter(|left_out| left_out.until.is_some()).map(LeftOut::refusal)
    }
}
