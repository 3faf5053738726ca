//! Records of our own in the queue, beside those of received messages.

use std::sync::MutexGuard;
use std::time::SystemTime;

use super::{Done, Queue, State, Taken};
use crate::journal::entry::Entry;
use crate::metrics::METRICS;

/// Records of our own that may wait in addition to received messages.
const MAX_OWN: usize = 1000;

impl Queue {
    /// Takes a record of our own; beyond [`MAX_OWN`] it is lost and counted. `done` is called when it is written.
    /// Returns whether it was taken.
    pub fn push_own(&self, record: Entry, done: Option<Done>) -> bool {
        let state = self.lock();
        let is_taken = state.own < MAX_OWN && !state.has_ended;
        if is_taken {
            self.push_record(state, record, done);
        } else {
            METRICS.journal_dropped.inc();
        }
        is_taken
    }

    /// Takes no further record of our own, but this one in any case.
    pub fn end(&self, last: Option<Entry>) {
        let mut state = self.lock();
        state.has_ended = true;
        if let Some(record) = last {
            self.push_record(state, record, None);
        }
    }

    fn push_record(&self, mut state: MutexGuard<'_, State>, record: Entry, done: Option<Done>) {
        state.own += 1;
        state.unsettled += usize::from(done.is_some());
        self.push(state, Taken { entry: Some(record), time: SystemTime::now(), done, bytes: None });
    }
}
