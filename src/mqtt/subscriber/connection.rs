//! Reports and questions of the MQTT thread about its connection, and the status.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{State, Subscriber};
use crate::message::TopicFilter;
use crate::metrics::{self, Stray};
use crate::mqtt::protocol::Limits;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::mqtt::session::subscriptions::{Breach, Culprit, Report};
use crate::mqtt::status::Status;

impl Subscriber {
    /// A connection takes SUBSCRIBE from now on; with a `probation` only for one filter at a time, which lasts for this
    /// time after each answer.
    pub(in crate::mqtt) fn connected(&self, session_present: bool, limits: Limits, probation: Option<Duration>) {
        self.with_state(|state| {
            state.is_open = true;
            state.table.connected(session_present, limits, probation, Instant::now());
        });
    }

    /// The connection ended over what the broker sent, or over an operation. Says over which filter.
    pub(in crate::mqtt) fn breached(&self, breach: Breach) -> Culprit {
        self.with_state(|state| state.table.breached(breach, Instant::now()))
    }

    /// The connection takes no SUBSCRIBE for a while, or does again.
    pub(in crate::mqtt) fn set_open(&self, is_open: bool) {
        self.with_state(|state| state.is_open = is_open);
    }

    /// The connection has ended.
    pub(in crate::mqtt) fn disconnected(&self) {
        self.with_state(|state| {
            state.is_open = false;
            state.table.disconnected();
        });
    }

    /// Hands over operations that the connection did not take before.
    pub(in crate::mqtt) fn dispatch(&self) {
        let is_left = self.lock().is_left;
        if is_left {
            self.with_state(|_| ());
        }
    }

    /// A SUBSCRIBE or an UNSUBSCRIBE was written.
    pub(in crate::mqtt) fn written(&self, packet_identifier: u16) {
        self.lock().table.written(packet_identifier);
    }

    /// A SUBACK came. Returns what is to be logged.
    pub(in crate::mqtt) fn subscribed(&self, packet_identifier: u16, answers: &[Result<u8, u8>]) -> Vec<Report> {
        let answered = self.with_state(|state| state.table.subscribed(packet_identifier, answers, Instant::now()));
        let Some((ordinal, reports)) = answered else {
            self.log_stray(packet_identifier);
            return Vec::new();
        };
        self.0.publisher.answered(ordinal);
        reports
    }

    /// Logs what [`Self::subscribed`] returned, with the broker's reason string.
    pub(in crate::mqtt) fn log(&self, reports: &[Report], words: Option<&str>) {
        let settings = self.0.publisher.settings();
        for report in reports {
            report.log(&settings.purpose, words);
        }
    }

    /// An UNSUBACK came.
    pub(in crate::mqtt) fn unsubscribed(&self, packet_identifier: u16, failure: Option<u8>) {
        let ordinal = self.with_state(|state| state.table.unsubscribed(packet_identifier, failure));
        if let Some(ordinal) = ordinal {
            self.0.publisher.answered(ordinal);
        } else {
            self.left_group();
            self.log_stray(packet_identifier);
        }
    }

    /// The broker answered without an operation. In a stop such answers are expected.
    fn log_stray(&self, packet_identifier: u16) {
        if self.lock().lifecycle == Lifecycle::Running && metrics::dropped_stray(Stray::UnknownPacket) {
            log::warn!(
                "the broker answered a SUBSCRIBE or an UNSUBSCRIBE with packet identifier {packet_identifier}, which \
                 waits for no such answer: others like it are counted alone"
            );
        }
    }

    /// Since when the oldest unanswered operation has been with the connection.
    pub(in crate::mqtt) fn oldest_unanswered(&self) -> Option<Instant> {
        self.lock().table.oldest_unanswered()
    }

    /// The filters of the oldest SUBSCRIBE without an answer.
    pub(in crate::mqtt) fn unanswered(&self) -> Vec<TopicFilter> {
        self.lock().table.unanswered()
    }

    /// Whether the broker has answered for everything that was wanted when the connection was made.
    pub(in crate::mqtt) fn is_settled(&self) -> bool {
        self.lock().table.is_settled()
    }

    /// The status of the connection and of the filters.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut state = self.lock();
        let State { table, statuses, .. } = &mut *state;
        let statuses = statuses.get_or_insert_with(|| table.statuses().into()).clone();
        drop(state);
        Status { listeners: self.0.listeners.load(Ordering::Relaxed), ..self.0.publisher.status(statuses) }
    }
}
