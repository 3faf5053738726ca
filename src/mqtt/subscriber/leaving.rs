//! Leaving the groups of shared subscriptions at a stop: other members get the messages from then on, and the bridge
//! takes in those that the broker had assigned to it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Subscriber;

/// The broker has no more messages for the bridge when none has come for so long after its answers; for longer where
/// the answers took longer.
const QUIET: Duration = Duration::from_millis(100);
/// How long to wait for messages at most.
const LONGEST: Duration = Duration::from_secs(1);

/// The UNSUBSCRIBEs without an answer, and when the last packet came.
pub struct Leaving {
    unanswered: usize,
    since: Instant,
    quiet: Duration,
    last_packet: Instant,
}

impl Leaving {
    /// An UNSUBACK came.
    pub fn answered(&mut self, now: Instant) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.quiet = QUIET.max(2 * now.saturating_duration_since(self.since));
        self.last_packet = now;
    }

    /// A message came.
    pub fn received(&mut self, now: Instant) {
        self.last_packet = now;
    }

    fn end(&self) -> Option<Instant> {
        (self.unanswered == 0).then(|| self.last_packet + self.quiet)
    }
}

impl Subscriber {
    /// An UNSUBACK came that the table does not await.
    pub(super) fn left_group(&self) {
        if let Some(leaving) = &mut self.lock().leaving {
            leaving.answered(Instant::now());
        }
        self.0.changed.notify_all();
    }

    /// Leaves the groups of shared subscriptions where the session ends with the connection, and would take their
    /// messages with it. Waits for the messages that the broker has for the bridge, until the deadline.
    pub fn leave_groups(&self, deadline: Instant) {
        let mut state = self.lock();
        let groups = state.table.groups();
        if groups.is_empty() {
            return;
        }
        let now = Instant::now();
        state.leaving = Some(Leaving { unanswered: groups.len(), since: now, quiet: QUIET, last_packet: now });
        drop(state);
        let deadline = deadline.min(now + LONGEST);
        if !self.0.publisher.leave_session(&[], &groups, deadline) {
            return;
        }
        let mut state = self.lock();
        loop {
            let end = state.leaving.as_ref().and_then(Leaving::end).unwrap_or(deadline).min(deadline);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_no_packet_has_come_for_a_while_after_the_last_answer() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut leaving = Leaving { unanswered: 2, since: start, quiet: QUIET, last_packet: start };
        leaving.answered(at(10));
        leaving.received(at(20));
        assert_eq!(leaving.end(), None, "one answer is missing");
        leaving.answered(at(30));
        assert_eq!(leaving.end(), Some(at(130)));
        leaving.received(at(120));
        assert_eq!(leaving.end(), Some(at(220)), "a message came");
        let mut far_away = Leaving { unanswered: 1, since: start, quiet: QUIET, last_packet: start };
        far_away.answered(at(200));
        assert_eq!(far_away.end(), Some(at(600)), "twice as long as it took to answer");
    }
}
