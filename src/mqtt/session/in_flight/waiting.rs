//! Callers that wait for the outcome of a message.

use std::time::Instant;

use crate::message::Qos;
use crate::metrics;
use crate::mqtt::outcome::{self, Outcome};

/// Gets the outcome of a message, once. Must not block.
pub type Caller = Box<dyn FnOnce(Outcome) + Send>;

/// Is called, once, when a message is written, before anything that comes from the broker after that. With it, the
/// [`Caller`] of a message at QoS 0 gets its outcome at the same time, instead of at the hand-over. Must not block.
pub type OnWritten = Box<dyn FnOnce() + Send>;

pub struct Waiting {
    pub caller: Caller,
    pub on_written: Option<OnWritten>,
    pub qos: Qos,
    pub since: Instant,
}

/// Gives each caller its outcome.
pub fn settle(settled: Vec<(Waiting, Outcome)>) {
    let now = Instant::now();
    for (waiting, outcome) in settled {
        let took = now.saturating_duration_since(waiting.since);
        metrics::published(waiting.qos as u8, outcome::result(&outcome), took);
        (waiting.caller)(outcome);
    }
}
