//! Messages of the bridge's own, which no HTTP request published.

use std::time::{Duration, Instant};

use super::Publisher;
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::session::in_flight::{Caller, Waiting};
use crate::mqtt::session::lifecycle::Lifecycle;

impl Publisher {
    /// As [`Publisher::publish`], but however many messages wait, and only in this phase: while running, or in a stop
    /// before its DISCONNECT, after all other messages.
    pub(in crate::mqtt) fn publish_own(&self, message: Message, timeout: Duration, phase: Lifecycle, caller: Caller) {
        let now = Instant::now();
        let caller = Waiting { caller, on_written: None, qos: message.qos, since: now };
        self.with_state(|state| {
            if state.lifecycle != phase {
                return state.table.reject(caller, Failure::Stopping);
            }
            state.table.accept(message, None, now + timeout, caller);
            self.0.dispatch(state, now);
        });
    }

    /// Whether there is a connection.
    pub(in crate::mqtt) fn is_connected(&self) -> bool {
        self.lock().connection.is_some()
    }
}
