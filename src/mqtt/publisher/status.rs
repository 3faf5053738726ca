//! The status of the publisher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Publisher;
use crate::config::Protocol;
use crate::memory::Memory;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::mqtt::session::subscriptions::FilterStatus;
use crate::mqtt::status::{Settings, Status};

impl Publisher {
    /// The memory of all requests, including waiting messages.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// The part of the status that does not change.
    pub(in crate::mqtt) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The status of the connection and of the topic filters.
    pub(in crate::mqtt) fn status(&self, subscriptions: Arc<[FilterStatus]>) -> Status {
        let state = self.lock();
        let limits = state.connection.as_ref().map(|(_, limits)| limits);
        let announces = self.0.settings.protocol == Protocol::V5;
        Status {
            settings: self.0.settings.clone(),
            history: state.history.clone(),
            receive_maximum: limits.filter(|_| announces).map(|limits| limits.receive_maximum),
            window: state.table.window().map(|window| window.size),
            waiting: state.table.unsettled(),
            oldest_waiting: state.table.oldest_caller().map(|waiting| waiting.since.elapsed()).unwrap_or_default(),
            unacknowledged: state.table.unacknowledged(),
            stopping: state.lifecycle != Lifecycle::Running,
            subscriptions,
            listeners: 0,
        }
    }

    /// For how long the MQTT thread has been overdue, if it hangs.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        self.0.heartbeat.overdue(Instant::now())
    }

    /// The MQTT thread is about to wait, at most for this time.
    pub(in crate::mqtt) fn announce(&self, now: Instant, wait: Duration) {
        self.0.heartbeat.announce(now, wait);
    }
}
