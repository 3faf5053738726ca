//! Callers that wait for the outcome of a message.

use std::time::Instant;

use crate::message::Qos;
use crate::metrics;
use crate::mqtt::outcome::{self, Failure, Outcome};

/// Gets the outcome of a message, once. Must not block.
pub type Caller = Box<dyn FnOnce(Outcome) + Send>;

/// Is called, once, when a message is written, before anything that comes from the broker after that. With it, the
/// [`Caller`] of a message at QoS 0 gets its outcome at the same time, instead of at the hand-over. Must not block.
pub type OnWritten = Box<dyn FnOnce() + Send>;

/// Who is told what became of a message. Made of a [`Caller`] alone, it has nobody who is told late.
pub struct Callers {
    /// Gets the outcome, at the deadline at the latest.
    pub caller: Caller,
    /// Gets a second outcome, once, if the first one was [`Failure::Unknown`] at the deadline, and later it is known
    /// whether the broker has the message. It is dropped if that is never known. Must not block.
    pub late: Option<Caller>,
}

impl From<Caller> for Callers {
    fn from(caller: Caller) -> Self {
        Self { caller, late: None }
    }
}

pub struct Waiting {
    pub callers: Callers,
    pub on_written: Option<OnWritten>,
    pub qos: Qos,
    pub since: Instant,
}

/// Outcomes that are to be told.
#[derive(Default)]
pub struct Settled {
    first: Vec<(Waiting, Outcome)>,
    late: Vec<(Caller, Outcome)>,
    /// They are dropped without the lock, as callers are called.
    forgotten: Vec<(Option<Waiting>, Option<Caller>)>,
}

impl Settled {
    /// The caller gets this outcome. Returns whom another one may still be told.
    pub fn tell(&mut self, mut waiting: Waiting, outcome: Outcome) -> Option<Caller> {
        let late = if outcome == Err(Failure::Unknown) { waiting.callers.late.take() } else { None };
        self.first.push((waiting, outcome));
        late
    }

    /// Who got [`Failure::Unknown`] before gets this outcome, if it says more.
    pub fn tell_late(&mut self, late: Option<Caller>, outcome: Outcome) {
        match outcome {
            Err(Failure::Unknown | Failure::GivenUp) => self.forget(None, late),
            outcome => self.late.extend(late.map(|late| (late, outcome))),
        }
    }

    /// These are never called.
    pub fn forget(&mut self, waiting: Option<Waiting>, late: Option<Caller>) {
        if waiting.is_some() || late.is_some() {
            self.forgotten.push((waiting, late));
        }
    }

    /// Calls all callers. The first outcome of a message is counted.
    pub fn call(self) {
        if self.first.is_empty() && self.late.is_empty() {
            return;
        }
        drop(self.forgotten);
        let now = Instant::now();
        for (waiting, outcome) in self.first {
            let took = now.saturating_duration_since(waiting.since);
            metrics::published(waiting.qos as u8, outcome::result(&outcome), took);
            (waiting.callers.caller)(outcome);
        }
        for (late, outcome) in self.late {
            late(outcome);
        }
    }
}
