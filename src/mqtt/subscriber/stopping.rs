//! Deadlines, and the steps of a stop except for leaving groups.

use std::sync::PoisonError;
use std::time::Instant;

use super::Subscriber;
use crate::mqtt::outcome::NoAnswer;
use crate::mqtt::session::lifecycle::Lifecycle;

impl Subscriber {
    /// Settles callers, filters and requests whose deadline has come.
    pub(in crate::mqtt) fn expire(&self) {
        let now = Instant::now();
        let late = self.with_state(|state| {
            if state.lifecycle == Lifecycle::Ended {
                return Vec::new();
            }
            state.table.expire(now);
            state.requests.expire(now)
        });
        self.end_all(late, &NoAnswer::TimedOut);
    }

    /// Accepts nothing more, and ends every listener.
    pub fn stop_accepting(&self) {
        self.with_state(|state| {
            state.lifecycle = Lifecycle::Draining;
            state.table.buffers().for_each(|buffer| buffer.end());
            state.table.stop();
        });
    }

    /// Waits until no request awaits a response any more. At the deadline the rest get none.
    pub fn drain(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.0.changed.wait_timeout_while(self.lock(), left, |state| state.requests.len() > 0);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.lifecycle = Lifecycle::Ended;
        let requests = state.requests.take_all();
        drop(state);
        self.end_all(requests, &NoAnswer::Stopping);
    }

    /// Removes from a kept session what is not in the configuration, at the end of a connection, as far as there is
    /// room for that by the deadline.
    pub fn forget_run_time(&self, deadline: Instant) {
        let (of_file, foreign) = self.lock().table.to_leave();
        if !foreign.is_empty() && !self.0.publisher.leave_session(&of_file, &foreign, deadline) {
            log::warn!("the broker's session keeps topic filters that are not in the configuration");
        }
    }
}
