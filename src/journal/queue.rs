//! What is to be written: a queue that is bounded in messages and bytes. Only the thread that writes waits for it.

mod done;
mod flushing;
mod losing;
mod own;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub use self::done::Done;

use super::entry::{Entry, Own};
use crate::message::{Priority, Received};

/// What is to be written by this process.
pub static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);

/// Received messages that may wait. An MQTT 5 broker learns the number by Receive Maximum, and keeps to it.
pub const MAX_MESSAGES: u16 = 10_000;
/// Bytes that they may take together. Larger packets are not accepted from a broker (`mqtt/client/bounds.rs`).
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The longest time until lost messages are recorded while others wait.
const SAID_AFTER: Duration = Duration::from_secs(10);

/// The queue is full, or nothing can be written.
#[derive(Debug)]
pub struct Full;

/// An entry that is out of the queue, to be written.
pub struct Taken {
    /// `None` where only `done` is to be called.
    pub entry: Option<Entry>,
    /// When it was recorded.
    pub time: SystemTime,
    done: Option<Done>,
    /// What it counts against [`MAX_BYTES`] until it is written; `None` for records of our own.
    bytes: Option<usize>,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when everything is written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Taken>,
    /// Received messages that are not written, and their bytes.
    messages: usize,
    bytes: usize,
    own: usize,
    /// Received messages whose `done` was not called yet.
    unsettled: usize,
    /// Lost messages that are not yet recorded, and when the first of them was lost.
    dropped: Option<(u64, Instant)>,
    /// The thread waits for an entry.
    is_waiting: bool,
    /// Why nothing can be written, if so. Then only what is kept is taken. There is always an entry to be tried again,
    /// at least the record of what was lost.
    blocked: Option<String>,
    /// No further record of our own is taken.
    has_ended: bool,
}

impl Queue {
    /// Takes a message. Without a priority only `done` is called in its turn, which counts as a message too.
    pub fn push_received(
        &self,
        message: &Arc<Received>,
        priority: Option<Priority>,
        done: Option<Done>,
    ) -> Result<(), Full> {
        let entry = priority.map(|priority| Entry::Received(message.clone(), priority));
        let bytes = size_of::<Taken>() + if entry.is_some() { message.size() } else { 0 };
        let mut state = self.lock();
        let is_full = state.messages >= usize::from(MAX_MESSAGES) || state.bytes.saturating_add(bytes) > MAX_BYTES;
        if is_full || (state.blocked.is_some() && !done.as_ref().is_some_and(|done| done.is_owed)) {
            return Err(Full);
        }
        state.messages += 1;
        state.bytes += bytes;
        state.unsettled += usize::from(done.is_some());
        self.push(state, Taken { entry, time: SystemTime::now(), done, bytes: Some(bytes) });
        Ok(())
    }

    fn push(&self, mut state: MutexGuard<'_, State>, taken: Taken) {
        state.entries.push_back(taken);
        if state.is_waiting {
            state.is_waiting = false;
            self.filled.notify_one();
        }
    }

    /// Waits for the next entry. Only the thread that writes calls this, and passes each entry to [`Self::finish`].
    pub fn next(&self) -> Taken {
        let mut state = self.lock();
        loop {
            let is_empty = state.entries.is_empty();
            if let Some((count, _)) = state.dropped.take_if(|(_, since)| is_empty || since.elapsed() >= SAID_AFTER) {
                state.own += 1;
                let entry = Some(Entry::Own(Own::dropped(count)));
                return Taken { entry, time: SystemTime::now(), done: None, bytes: None };
            }
            if let Some(taken) = state.entries.pop_front() {
                return taken;
            }
            state.is_waiting = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// An entry is written, and does not count any more.
    pub fn finish(&self, taken: Taken) {
        // while it still counts: an empty queue means that every `done` was called
        let settles = taken.done.is_some();
        if let Some(done) = taken.done {
            (done.call)();
        }
        let mut state = self.lock();
        state.unsettled -= usize::from(settles);
        match taken.bytes {
            Some(bytes) => {
                state.messages -= 1;
                state.bytes -= bytes;
            }
            None => state.own -= 1,
        }
        if state.is_idle() {
            self.emptied.notify_all();
        }
    }

    /// Whether every `done` was called.
    pub fn is_settled(&self) -> bool {
        self.lock().unsettled == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
