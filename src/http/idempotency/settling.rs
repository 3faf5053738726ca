//! What becomes of the key of a request when the outcomes of its messages are known, and when more is known later.

use std::sync::{Arc, Mutex, PoisonError};

use super::Running;
use crate::http::reply::{Reply, Told};
use crate::mqtt::{Caller, Failure, Outcome};
use crate::outbox::{Done, KeyOf};

/// What a request is told of its messages.
pub struct Tell<O> {
    /// What became of them, once.
    pub told: Box<dyn FnOnce(Told<O>) + Send>,
    /// For each message, what is known later if its outcome was unknown; none without a key.
    pub late: Vec<Caller>,
    /// The same of messages for the outbox; none without a key.
    pub late_stored: Option<Done>,
    /// The record that is to be stored together with the messages.
    pub key: Option<KeyOf>,
}

impl<O> Tell<O> {
    /// For a request without a key.
    pub fn only(told: impl FnOnce(Told<O>) + Send + 'static) -> Self {
        Self { told: Box::new(told), late: Vec::new(), late_stored: None, key: None }
    }
}

/// The outcome of one message, or those of many.
pub trait Outcomes: Clone + Send + 'static {
    /// Nobody knows what became of so many messages.
    fn unknown(count: usize) -> Self;
    fn each(&mut self) -> &mut [Outcome];
}

impl Outcomes for Outcome {
    fn unknown(_: usize) -> Self {
        Err(Failure::Unknown)
    }

    fn each(&mut self) -> &mut [Outcome] {
        std::slice::from_mut(self)
    }
}

impl Outcomes for Vec<Outcome> {
    fn unknown(count: usize) -> Self {
        vec![Err(Failure::Unknown); count]
    }

    fn each(&mut self) -> &mut [Outcome] {
        self
    }
}

/// The key of a request whose messages are on their way. It is gone with the last callback.
pub struct Settling<O, R> {
    key: Arc<Running>,
    reply: R,
    state: Mutex<State<O>>,
}

struct State<O> {
    /// `None` until all are known.
    outcomes: Option<O>,
    /// What came late for a message, while the outcome of another was missing.
    early: Vec<(usize, Outcome)>,
    /// How often the answer changed.
    version: u64,
}

impl<O: Outcomes, R: Fn(Told<O>) -> Reply + Clone + Send + Sync + 'static> Settling<O, R> {
    /// Lets the key know what `told` is told, before that, and what is known later of `count` messages. `reply` makes
    /// the answer.
    pub fn tell(key: Arc<Running>, reply: R, count: usize, told: impl FnOnce(Told<O>) + Send + 'static) -> Tell<O> {
        let form = reply.clone();
        let record = key.with_messages(move |stored| form(stored.of_messages()));
        let state = Mutex::new(State { outcomes: None, early: Vec::new(), version: 0 });
        let settling = Arc::new(Self { key, reply, state });
        let late = |index| -> Caller {
            let settling = settling.clone();
            Box::new(move |outcome| settling.late(index, outcome))
        };
        let late = (0..count).map(late).collect();
        let of_outbox = settling.clone();
        let late_stored: Option<Done> = Some(Box::new(move |stored| of_outbox.settle(&Told::Stored(stored), 2)));
        let told = Box::new(move |result: Told<O>| {
            settling.settle(&result, 1);
            told(result);
        });
        Tell { told, late, late_stored, key: Some(record) }
    }

    /// `version`: how often it was told what became of stored messages.
    fn settle(&self, told: &Told<O>, version: u64) {
        match told {
            Told::Published(outcomes) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let mut outcomes = outcomes.clone();
                for (index, outcome) in std::mem::take(&mut state.early) {
                    outcomes.each()[index] = outcome;
                }
                state.outcomes = Some(outcomes.clone());
                state.version += 1;
                let version = state.version;
                drop(state);
                self.keep_or_free(outcomes, version);
            }
            // the record on disk, if it is there, has the identifiers
            told if told.may_be_stored() => self.key.answer(version, (self.reply)(told.clone()).to_answer()),
            _ => self.key.free(),
        }
    }

    /// More is known of a message.
    fn late(&self, index: usize, outcome: Outcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outcomes) = &mut state.outcomes else { return state.early.push((index, outcome)) };
        outcomes.each()[index] = outcome;
        let outcomes = outcomes.clone();
        state.version += 1;
        let version = state.version;
        drop(state);
        self.keep_or_free(outcomes, version);
    }

    /// Keeps the answer if the broker has a message or may have one, or has refused it late: then the client was told
    /// that it may be there. Anything else frees the key.
    fn keep_or_free(&self, mut outcomes: O, version: u64) {
        let is_late = version > 1;
        if outcomes.each().iter().any(|outcome| is_kept(outcome, is_late)) {
            self.key.answer(version, (self.reply)(Told::Published(outcomes)).to_answer());
        } else {
            self.key.free();
        }
    }
}

/// Whether the broker has the message or may have it, or has refused it late.
fn is_kept(outcome: &Outcome, is_late: bool) -> bool {
    match outcome {
        Ok(_) | Err(Failure::Unknown | Failure::GivenUp) => true,
        Err(Failure::Refused(_) | Failure::RefusedSaying { .. }) => is_late,
        Err(_) => false,
    }
}
