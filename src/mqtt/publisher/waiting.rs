//! Who waits for the outcome of a message, and is told.

use std::time::Instant;

use super::{Caller, OnWritten};
use crate::message::Qos;
use crate::metrics;
use crate::mqtt::outcome::{self, Outcome};

/// Who waits for the outcome of a message.
pub struct Waiting {
    pub caller: Caller,
    pub on_written: Option<OnWritten>,
    pub qos: Qos,
    pub since: Instant,
}

/// Tells each.
pub fn tell(settled: Vec<(Waiting, Outcome)>) {
    if settled.is_empty() {
        return;
    }
    let now = Instant::now();
    for (waiting, outcome) in settled {
        waiting.tell(outcome, now);
    }
}

impl Waiting {
    pub fn tell(self, outcome: Outcome, now: Instant) {
        let took = now.saturating_duration_since(self.since);
        metrics::published(self.qos as u8, outcome::result(&outcome), took);
        (self.caller)(outcome);
    }
}
