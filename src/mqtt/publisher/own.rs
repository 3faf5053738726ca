//! Messages of the bridge's own, which nobody asked for over HTTP.

use std::time::{Duration, Instant};

use super::{Caller, Publisher, Stage, Waiting};
use crate::message::Message;
use crate::mqtt::outcome::Failure;

/// When a message of our own may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Until a stop begins.
    Running,
    /// Between the beginning of a stop and its DISCONNECT: behind everything else.
    Stopping,
}

impl Publisher {
    /// As [`Publisher::publish`], but not turned away where too much waits, and in its phase alone.
    pub(in crate::mqtt) fn publish_own(&self, message: Message, timeout: Duration, phase: Phase, caller: Caller) {
        let now = Instant::now();
        let caller = Waiting { caller, on_written: None, qos: message.qos, since: now };
        self.with_state(|state| {
            let is_its_phase = match phase {
                Phase::Running => state.stage == Stage::Running,
                Phase::Stopping => state.stage == Stage::Draining,
            };
            if !is_its_phase {
                return state.table.reject(caller, Failure::Stopping);
            }
            state.table.admit(message, now + timeout, caller);
            self.0.feed(state, now);
        });
    }

    /// Whether there is a connection.
    pub(in crate::mqtt) fn is_connected(&self) -> bool {
        self.lock().connection.is_some()
    }
}
