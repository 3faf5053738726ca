//! What is to be written: a queue bounded in messages and bytes, in which nobody waits but the thread that writes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::entry::{Entry, Own};
use crate::message::{Priority, Received};
use crate::metrics;

/// Received messages that may wait. An MQTT 5 broker is told, and sends no more unacknowledged ones.
pub const MAX_MESSAGES: u16 = 10_000;
/// Bytes that they may take together. Nothing is accepted from a broker that is larger (`mqtt/client/bounds.rs`).
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Records of our own that may wait beside them.
const MAX_OWN: usize = 1000;
/// How long it may take until dropped messages are said while others wait.
const SAID_AFTER: Duration = Duration::from_secs(10);

/// What is done when a message is written.
pub struct Done {
    call: Box<dyn FnOnce() + Send>,
    /// As long as it is not done, the broker owes us the message.
    is_owed: bool,
}

impl Done {
    /// What is done, and whether the broker delivers the message again if that never happens.
    pub fn new(is_owed: bool, call: impl FnOnce() + Send + 'static) -> Self {
        Self { call: Box::new(call), is_owed }
    }
}

/// There is no room for a received message, or no way to write it.
#[derive(Debug)]
pub struct Full;

/// An entry whose turn it is to be written.
pub struct Taken {
    pub entry: Entry,
    /// When it was made.
    pub time: SystemTime,
    done: Option<Done>,
    /// What it counts for until it is written; `None` for records of our own.
    bytes: Option<usize>,
}

impl Taken {
    /// Whether it is worth waiting for when nothing can be written: messages that the broker still owes us, and the few
    /// records of our own.
    fn is_kept(&self) -> bool {
        self.bytes.is_none() || is_owed(self.done.as_ref())
    }
}

fn is_owed(done: Option<&Done>) -> bool {
    done.is_some_and(|done| done.is_owed)
}

pub struct Queue {
    state: Mutex<State>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when everything is written.
    emptied: Condvar,
}

struct State {
    entries: VecDeque<Taken>,
    /// Received messages that are not written, and their bytes.
    messages: usize,
    bytes: usize,
    own: usize,
    /// Received messages whose `done` was not called yet.
    unsettled: usize,
    /// Messages that are lost and not yet told of, since the first of them.
    dropped: Option<(u64, Instant)>,
    /// The thread waits for something to write.
    is_waiting: bool,
    /// Nothing can be written: only what is kept is taken, and something always is there to be tried again, at least the
    /// record of what was lost.
    /// It says why.
    blocked: Option<String>,
    /// The last words were said.
    has_ended: bool,
}

impl Queue {
    pub const fn new() -> Self {
        let state = State {
            entries: VecDeque::new(),
            messages: 0,
            bytes: 0,
            own: 0,
            unsettled: 0,
            dropped: None,
            is_waiting: false,
            blocked: None,
            has_ended: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Takes a message, if there is room.
    pub fn push_received(&self, message: Arc<Received>, priority: Priority, done: Option<Done>) -> Result<(), Full> {
        let bytes = message.size() + size_of::<Taken>();
        self.push_bounded(Entry::Received(message, priority), bytes, done)
    }

    /// Takes what is to be done when everything before is written; it takes up a place like a message.
    pub fn push_mark(&self, done: Done) -> Result<(), Full> {
        self.push_bounded(Entry::Mark, size_of::<Taken>(), Some(done))
    }

    fn push_bounded(&self, entry: Entry, bytes: usize, done: Option<Done>) -> Result<(), Full> {
        let mut state = self.lock();
        let is_full = state.messages >= usize::from(MAX_MESSAGES) || state.bytes.saturating_add(bytes) > MAX_BYTES;
        if is_full || (state.blocked.is_some() && !is_owed(done.as_ref())) {
            return Err(Full);
        }
        state.messages += 1;
        state.bytes += bytes;
        state.unsettled += usize::from(done.is_some());
        self.push(state, Taken { entry, time: SystemTime::now(), done, bytes: Some(bytes) });
        Ok(())
    }

    /// Takes a record of our own; where there are very many, it is lost, and counted.
    pub fn push_own(&self, record: Entry) {
        let state = self.lock();
        if state.own < MAX_OWN && !state.has_ended {
            self.push_record(state, record);
        } else {
            metrics::journal_dropped();
        }
    }

    /// Takes no further record of our own.
    pub fn end(&self) {
        self.lock().has_ended = true;
    }

    /// Takes a record of our own in any case, and no other behind it.
    pub fn push_last(&self, record: Entry) {
        let mut state = self.lock();
        state.has_ended = true;
        self.push_record(state, record);
    }

    fn push_record(&self, mut state: MutexGuard<'_, State>, record: Entry) {
        state.own += 1;
        self.push(state, Taken { entry: record, time: SystemTime::now(), done: None, bytes: None });
    }

    pub fn count_dropped(&self) {
        let mut state = self.lock();
        let (count, since) = state.dropped.unwrap_or((0, Instant::now()));
        state.dropped = Some((count + 1, since));
        // it is said when all else is written, which may be so already
        self.filled.notify_one();
    }

    fn push(&self, mut state: MutexGuard<'_, State>, taken: Taken) {
        state.entries.push_back(taken);
        if state.is_waiting {
            state.is_waiting = false;
            self.filled.notify_one();
        }
    }

    /// Waits for the next entry. Only for the thread that writes, which passes each to [`Self::finish`].
    pub fn next(&self) -> Taken {
        let mut state = self.lock();
        loop {
            let is_empty = state.entries.is_empty();
            if let Some((count, _)) = state.dropped.take_if(|(_, since)| is_empty || since.elapsed() >= SAID_AFTER) {
                state.own += 1;
                let entry = Entry::Own(Own::dropped(count));
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
        // before it is out of the books, so that nobody takes us for idle
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

    /// An entry is not written, and nobody would deliver it again.
    fn lose(&self, taken: Taken) {
        match taken.entry {
            Entry::Received(..) => {
                metrics::journal_dropped();
                self.count_dropped();
            }
            Entry::Own(_) | Entry::LastWords(_) | Entry::Mark => {}
        }
        self.finish(taken);
    }

    /// The entry cannot be written, nor can any other: what is not kept is lost, in order, and so is what comes until
    /// [`Self::unblock`]. Returns the entry if it is kept.
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
            // nobody's acknowledgement overtakes those of the lost
            state.blocked = lost.is_empty().then(|| why.to_owned());
            drop(state);
            for taken in lost {
                self.lose(taken);
            }
        }
    }

    /// Something was written.
    pub fn unblock(&self) {
        self.lock().blocked = None;
    }

    /// Why nothing can be written, if that is so.
    pub fn fault(&self) -> Option<String> {
        self.lock().blocked.clone()
    }

    /// Whether every `done` was called.
    pub fn is_settled(&self) -> bool {
        self.lock().unsettled == 0
    }

    /// Waits until everything is written, or the deadline has come. Returns whether it is.
    pub fn flush(&self, deadline: Instant) -> bool {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let waited = self.emptied.wait_timeout_while(self.lock(), timeout, |state| !state.is_idle());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_idle()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.messages == 0 && self.own == 0 && self.dropped.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::iter::once;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn message(bytes: usize) -> Arc<Received> {
        Received { payload: vec![0; bytes], ..Received::default() }.into()
    }

    #[test]
    fn a_full_queue_takes_nothing_more_until_something_is_written() {
        let queue = Queue::new();
        for _ in 0..MAX_MESSAGES {
            assert!(queue.push_received(message(1), Priority::default(), None).is_ok());
        }
        assert!(queue.push_received(message(1), Priority::default(), None).is_err());
        // what is being written still counts
        let taken = queue.next();
        assert!(queue.push_received(message(1), Priority::default(), None).is_err());
        queue.finish(taken);
        assert!(queue.push_received(message(1), Priority::default(), None).is_ok());
    }

    #[test]
    fn bytes_are_bounded_too_be_it_a_single_message() {
        let queue = Queue::new();
        assert!(queue.push_received(message(MAX_BYTES), Priority::default(), None).is_err());
        assert!(queue.push_received(message(MAX_BYTES / 2), Priority::default(), None).is_ok());
        assert!(queue.push_received(message(MAX_BYTES / 2), Priority::default(), None).is_err());
    }

    #[test]
    fn done_is_called_once_in_order_when_a_message_is_written() {
        let queue = Queue::new();
        let calls = Arc::new(AtomicUsize::new(0));
        for number in 0..3 {
            let calls = calls.clone();
            let done = Done::new(false, move || assert_eq!(calls.fetch_add(1, Ordering::SeqCst), number));
            assert!(queue.push_received(message(1), Priority::default(), Some(done)).is_ok());
        }
        for written in 1..=3 {
            let taken = queue.next();
            assert_eq!(calls.load(Ordering::SeqCst), written - 1);
            queue.finish(taken);
            assert_eq!(calls.load(Ordering::SeqCst), written);
        }
    }

    #[test]
    fn what_is_dropped_is_said_when_all_else_is_written() {
        let queue = Queue::new();
        queue.push_own(Entry::Own(Own::warning("first".to_owned())));
        queue.count_dropped();
        queue.count_dropped();
        assert!(!queue.flush(Instant::now()));
        let line = |taken: &Taken| {
            let Entry::Own(own) = &taken.entry else { panic!("it is our own") };
            own.message.clone()
        };
        let taken = queue.next();
        assert_eq!(line(&taken), "first");
        queue.finish(taken);
        assert!(!queue.flush(Instant::now()));
        let taken = queue.next();
        assert!(line(&taken).starts_with("2 received messages were not recorded"), "{}", line(&taken));
        queue.finish(taken);
        assert!(queue.flush(Instant::now()));
    }

    #[test]
    fn where_nothing_can_be_written_only_what_comes_again_is_kept() {
        let queue = Queue::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let done = |is_owed| {
            let calls = calls.clone();
            let call = move || {
                calls.fetch_add(1, Ordering::SeqCst);
            };
            Some(Done::new(is_owed, call))
        };
        let push = |done| queue.push_received(message(1), Priority::default(), done).is_ok();
        assert!(push(done(true)) && push(done(false)) && push(None));
        queue.push_own(Entry::Own(Own::warning("ours".to_owned())));
        let taken = queue.next();
        let taken = queue.block(taken, "why").unwrap();
        assert_eq!(queue.fault().as_deref(), Some("why"));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "what is lost is acknowledged, or it would take up a place");
        assert!(push(done(true)) && !push(done(false)) && !push(None));
        let taken: Vec<Taken> = once(taken).chain((0..3).map(|_| queue.next())).collect();
        assert!(taken.iter().all(Taken::is_kept), "with the record of what was lost");
        for taken in taken {
            queue.finish(taken);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        queue.unblock();
        assert_eq!(queue.fault(), None);
        assert!(push(done(false)) && push(None));
    }

    #[test]
    fn what_is_lost_is_acknowledged_in_order() {
        let queue = Queue::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..3 {
            let order = order.clone();
            let done = Done::new(false, move || order.lock().unwrap().push(number));
            assert!(queue.push_received(message(1), Priority::default(), Some(done)).is_ok());
        }
        let taken = queue.next();
        assert!(queue.block(taken, "why").is_none());
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    }
}
