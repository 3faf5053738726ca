//! Waits for a change of the connections' state: for the end of requests when the server stops, and for a free thread.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Connections;
use super::connection::Connection;
use super::state::State;

impl Connections {
    /// On a Unix socket waits until there is room for one more request.
    ///
    /// A reply there is written by a thread of its own, which waits in tiny_http for the replies to earlier requests of
    /// its connection. If all threads waited for a reply for which no thread is left, they would wait for ever.
    pub fn await_room(&self) {
        if self.sockets.is_unix() {
            self.wait_until(None, |state| state.unanswered < self.writers.max_threads());
        }
    }

    /// Waits until each accepted connection had a request, or until the deadline.
    pub fn await_first_requests(&self, deadline: Instant) {
        let scans = self.lock().scans;
        // two more: the scan that is running may have begun before the last connection was accepted
        self.wait_until(Some(deadline), |state| {
            let had_none = |connection: &Connection| connection.started == 0 && !connection.ended;
            state.scans > scans + 1 && !state.table.values().any(had_none)
        });
    }

    /// Waits until every request is answered, or until the deadline. Returns how many are not.
    pub fn await_idle(&self, deadline: Instant) -> usize {
        self.wait_until(Some(deadline), |state| state.unanswered == 0);
        self.lock().unanswered
    }

    /// Waits until something is done, or until the deadline if there is one.
    fn wait_until(&self, deadline: Option<Instant>, done: impl Fn(&State) -> bool) {
        let timeout = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let mut state = self.lock();
        state.waiters += 1;
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0.waiters -= 1;
    }

    /// Counts a scan of the reaper's.
    pub fn count_scan(&self) {
        self.change(|state| state.scans += 1);
    }

    /// Counts a stream that begins (1) or ends (-1).
    pub fn streams_changed(&self, change: isize) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_add_signed(change);
    }

    /// Changes the state and notifies those who wait.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        let has_waiters = state.waiters > 0;
        drop(state);
        if has_waiters {
            self.changed.notify_all();
        }
        result
    }
}
