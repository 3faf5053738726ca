//! What is lost: received messages for which there is no room, and those that wait when nothing can be written.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Queue, Taken};
use crate::journal::entry::Entry;
use crate::metrics::METRICS;

impl Taken {
    /// Whether it is kept while nothing can be written: so are messages that the broker would deliver again, and the
    /// few records of our own.
    pub fn is_kept(&self) -> bool {
        self.bytes.is_none() || self.done.as_ref().is_some_and(|done| done.is_owed)
    }
}

impl Queue {
    /// Counts a received message that is lost. A record tells how many are.
    pub fn count_dropped(&self) {
        METRICS.journal_dropped.inc();
        let mut state = self.lock();
        let (count, since) = state.dropped.unwrap_or((0, Instant::now()));
        state.dropped = Some((count + 1, since));
        // it is recorded when all else is written, which may be so already
        self.filled.notify_one();
    }

    /// An entry is given up. The broker would not deliver it again.
    fn lose(&self, taken: Taken) {
        if let Some(Entry::Received(..)) = taken.entry {
            self.count_dropped();
        }
        self.finish(taken);
    }

    /// Neither this entry nor any other can be written: those that are not kept are lost, in order, and so are those
    /// that come until [`Self::unblock`]. Returns the entry if it is kept.
    pub fn block(&self, taken: Taken, why: &str) -> Option<Taken> {
        let kept = if taken.is_kept() {
            Some(taken)
        } else {
            self.lose(taken);
            None
        };
        self.lose_waiting(why);
        kept
    }

    fn lose_waiting(&self, why: &str) {
        loop {
            let mut state = self.lock();
            let (kept, lost): (VecDeque<_>, VecDeque<_>) =
                if state.blocked.is_some() { return } else { state.entries.drain(..).partition(Taken::is_kept) };
            state.entries = kept;
            // blocked only when none is left to lose: else what comes now would be acknowledged before these
            state.blocked = lost.is_empty().then(|| why.to_owned());
            drop(state);
            for taken in lost {
                self.lose(taken);
            }
        }
    }

    /// An entry was written.
    pub fn unblock(&self) {
        self.lock().blocked = None;
    }

    /// Why nothing can be written, if so.
    pub fn fault(&self) -> Option<String> {
        self.lock().blocked.clone()
    }
}
