//! Waiting until everything is written, at a stop.

use std::sync::PoisonError;
use std::time::Instant;

use super::{Queue, State};

impl Queue {
    /// Waits until everything is written, or until the deadline. Returns whether everything is.
    pub fn flush(&self, deadline: Instant) -> bool {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let waited = self.emptied.wait_timeout_while(self.lock(), timeout, |state| !state.is_idle());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_idle()
    }
}

impl State {
    pub(super) fn is_idle(&self) -> bool {
        self.messages == 0 && self.own == 0 && self.dropped.is_none()
    }
}
