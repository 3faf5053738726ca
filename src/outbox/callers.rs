//! Callers that wait for the disk, each up to its deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Id, NotStored};

/// Gets what was asked for, or why it is not known. Must not block.
pub type Callback<T> = Box<dyn FnOnce(Result<T, NotStored>) + Send>;

/// Gets the identifiers of stored messages, in their order. Must not block.
pub type Done = Callback<Vec<Id>>;

/// Where a callback waits until somebody takes it.
type Slot<T> = Arc<Mutex<Option<Callback<T>>>>;
/// A deadline, with a number that makes it unique.
type Ticket = (Instant, u64);

/// All that wait.
#[derive(Clone, Default)]
pub struct Callers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the next deadline is an earlier one, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Ticket, Box<dyn FnOnce() + Send>>,
    next: u64,
    has_ended: bool,
}

/// One that waits. Where it is dropped, it learns at its deadline that nothing is known.
pub struct Caller<T> {
    slot: Slot<T>,
    ticket: Ticket,
    callers: Callers,
}

impl Callers {
    /// Makes a caller of a callback, which is called after this time at the latest.
    pub fn caller<T: 'static>(&self, callback: Callback<T>, timeout: Duration) -> Caller<T> {
        let slot = Arc::new(Mutex::new(Some(callback)));
        let mut state = self.lock();
        let ticket = (Instant::now() + timeout, state.next);
        state.next += 1;
        let is_first = state.waiting.first_key_value().is_none_or(|(first, _)| ticket < *first);
        let expired = slot.clone();
        let expire = move || {
            if let Some(callback) = take(&expired) {
                callback(Err(NotStored::Unknown));
            }
        };
        state.waiting.insert(ticket, Box::new(expire));
        drop(state);
        if is_first {
            self.0.changed.notify_all();
        }
        Caller { slot, ticket, callers: self.clone() }
    }

    /// Tells those whose deadline has come, until [`Self::end`].
    pub fn run(&self) {
        let mut state = self.lock();
        while !state.has_ended {
            let now = Instant::now();
            let first = state.waiting.first_key_value().map(|((deadline, _), _)| *deadline);
            if first.is_some_and(|deadline| deadline <= now) {
                let due = state.waiting.pop_first();
                drop(state);
                if let Some((_, expire)) = due {
                    expire();
                }
                state = self.lock();
                continue;
            }
            let left = first.map_or(Duration::from_secs(3600), |deadline| deadline - now);
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends [`Self::run`], and tells all that still wait that nothing is known.
    pub fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.0.changed.notify_all();
        for expire in waiting.into_values() {
            expire();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

impl<T> Caller<T> {
    /// Whether it was told that nothing is known.
    pub fn is_over(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Tells the result, unless it is over.
    pub fn tell(self, result: Result<T, NotStored>) {
        self.tell_or_late(result, None);
    }

    /// Tells the result; if it is over, to this one.
    pub fn tell_or_late(self, result: Result<T, NotStored>, late: Option<Callback<T>>) {
        self.callers.lock().waiting.remove(&self.ticket);
        if let Some(callback) = take(&self.slot).or(late) {
            callback(result);
        }
    }
}

fn take<T>(slot: &Slot<T>) -> Option<Callback<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_caller_is_told_once_at_its_deadline_or_before() {
        let (callers, (sender, results)) = (Callers::default(), mpsc::channel());
        let caller = |name: &'static str, timeout| {
            let sender = sender.clone();
            callers.caller(Box::new(move |result: Result<u8, _>| sender.send((name, result)).unwrap()), timeout)
        };
        let (late, in_time) = (caller("late", LONG), caller("in time", LONG));
        thread::scope(|scope| {
            scope.spawn(|| callers.run());
            let over = caller("over", Duration::from_millis(1));
            assert_eq!(results.recv_timeout(LONG), Ok(("over", Err(NotStored::Unknown))));
            assert!(over.is_over() && !late.is_over());
            let knows_more = |name: &'static str| -> Option<Callback<u8>> {
                let sender = sender.clone();
                Some(Box::new(move |result| sender.send((name, result)).unwrap()))
            };
            over.tell_or_late(Ok(1), knows_more("knows more"));
            assert_eq!(results.recv_timeout(LONG), Ok(("knows more", Ok(1))));
            in_time.tell_or_late(Ok(2), knows_more("never called"));
            assert_eq!(results.recv_timeout(LONG), Ok(("in time", Ok(2))));
            assert_eq!(callers.lock().waiting.len(), 1, "the late one");
            callers.end();
        });
        assert_eq!(results.try_recv(), Ok(("late", Err(NotStored::Unknown))), "at the end");
        late.tell(Ok(3));
        assert!(results.try_recv().is_err());
    }
}
