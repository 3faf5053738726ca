//! How the groups of shared subscriptions are left at a stop: the others get what comes from then on, and we what the
//! broker had for us already.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Subscriber;

/// When so long nothing has come after the answers of the broker, it has nothing more for us; longer, where its answers
/// took longer.
const QUIET: Duration = Duration::from_millis(100);
/// How long messages may go on coming.
const LONGEST: Duration = Duration::from_secs(1);

/// What was asked, and when something was heard last.
pub struct Leaving {
    unanswered: usize,
    since: Instant,
    quiet: Duration,
    heard: Instant,
}

impl Leaving {
    /// An UNSUBACK came.
    pub fn answered(&mut self, now: Instant) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.quiet = QUIET.max(2 * now.saturating_duration_since(self.since));
        self.heard = now;
    }

    /// A message came.
    pub fn received(&mut self, now: Instant) {
        self.heard = now;
    }

    fn end(&self) -> Option<Instant> {
        (self.unanswered == 0).then(|| self.heard + self.quiet)
    }
}

impl Subscriber {
    /// An UNSUBACK came that nobody else awaits.
    pub(super) fn left_group(&self) {
        if let Some(leaving) = &mut self.lock().leaving {
            leaving.answered(Instant::now());
        }
        self.0.changed.notify_all();
    }

    /// Leaves the groups of shared subscriptions, where a session that ends would take their messages with it, and waits
    /// until what the broker had for us has come, not beyond the deadline.
    pub fn leave_groups(&self, deadline: Instant) {
        let mut state = self.lock();
        let groups = state.table.groups();
        if groups.is_empty() {
            return;
        }
        let now = Instant::now();
        state.leaving = Some(Leaving { unanswered: groups.len(), since: now, quiet: QUIET, heard: now });
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
    fn it_is_over_when_nothing_has_come_for_a_while_after_the_last_answer() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut leaving = Leaving { unanswered: 2, since: start, quiet: QUIET, heard: start };
        leaving.answered(at(10));
        leaving.received(at(20));
        assert_eq!(leaving.end(), None, "one answer is missing");
        leaving.answered(at(30));
        assert_eq!(leaving.end(), Some(at(130)));
        leaving.received(at(120));
        assert_eq!(leaving.end(), Some(at(220)), "something came still");
        let mut far_away = Leaving { unanswered: 1, since: start, quiet: QUIET, heard: start };
        far_away.answered(at(200));
        assert_eq!(far_away.end(), Some(at(600)), "twice as long as it took to answer");
    }
}
