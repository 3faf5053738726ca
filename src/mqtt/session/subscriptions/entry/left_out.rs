//! A topic filter that is left out for a while, and how that stands with those who want it.

use std::time::{Duration, Instant};

use super::{AtBroker, Entry};
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::Answer;

/// A filter that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// `None` while it is tried again.
    pub until: Option<Instant>,
    /// For how long it is.
    pub pause: Duration,
    /// How long it was on probation when it was found.
    pub patience: Duration,
    /// The reason code, if the broker refused it; otherwise connections ended over it.
    pub code: Option<u8>,
}

impl LeftOut {
    /// What whoever wants it is told.
    fn refusal(self) -> Refusal {
        self.code.map_or(Refusal::LeftOut, Refusal::Refused)
    }
}

impl<R> Entry<R> {
    /// How it stands with the broker while that is not asked.
    pub(super) fn at_rest(&self) -> AtBroker {
        match self.left_out.filter(|left_out| left_out.until.is_some()) {
            None => AtBroker::Absent,
            Some(LeftOut { code: Some(code), .. }) => AtBroker::Refused(code),
            Some(LeftOut { code: None, .. }) => AtBroker::LeftOut,
        }
    }

    /// The broker is not asked for it any more.
    pub fn leave_out(&mut self, left_out: LeftOut) -> Vec<(R, Answer)> {
        self.left_out = Some(left_out);
        (self.state, self.last, self.renew) = (self.at_rest(), None, false);
        self.tell_readers(left_out.refusal());
        self.resolve(|waiting| waiting.want.qos().is_some(), Err(left_out.refusal()))
    }

    /// The broker is asked again, if it is time for that and somebody wants it.
    pub fn try_again(&mut self, now: Instant) {
        if self.left_out.is_some_and(|left_out| left_out.until.is_some_and(|until| until <= now)) {
            self.left_out = self.left_out.filter(|_| self.wanted().is_some());
            if let Some(left_out) = &mut self.left_out {
                left_out.until = None;
            }
            self.state = self.at_rest();
        }
    }

    /// Why nobody may want it now, if it is left out.
    pub fn is_left_out(&self) -> Option<Refusal> {
        self.left_out.filter(|left_out| left_out.until.is_some()).map(LeftOut::refusal)
    }
}
