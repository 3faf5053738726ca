//! A watchdog for the MQTT thread: before each wait it announces how long that will take at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much longer the thread may take: it computes between two waits, perhaps on a busy machine.
pub const SLACK: Duration = Duration::from_secs(5);

pub struct Heartbeat {
    start: Instant,
    /// Milliseconds after the start.
    due: AtomicU64,
}

impl Heartbeat {
    /// The first announcement is due at once.
    pub fn new(now: Instant) -> Self {
        Self { start: now, due: AtomicU64::new(0) }
    }

    /// The next announcement comes after `wait` at the latest.
    pub fn announce(&self, now: Instant, wait: Duration) {
        let due = now.saturating_duration_since(self.start).saturating_add(wait);
        self.due.store(u64::try_from(due.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For how long the next announcement has been overdue, if that is more than the slack.
    pub fn overdue(&self, now: Instant) -> Option<Duration> {
        let due = Duration::from_millis(self.due.load(Ordering::Relaxed));
        let late = now.saturating_duration_since(self.start).saturating_sub(due);
        (late > SLACK).then_some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_longer_than_announced_plus_the_slack_is_overdue() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(heartbeat.overdue(start + SLACK), None, "the first announcement may take the slack");
        assert_eq!(heartbeat.overdue(after(6)), Some(Duration::from_secs(6)), "and no more");
        heartbeat.announce(after(10), Duration::from_secs(30));
        assert_eq!(heartbeat.overdue(after(45)), None);
        assert_eq!(heartbeat.overdue(after(46)), Some(Duration::from_secs(6)));
        heartbeat.announce(after(46), Duration::ZERO);
        assert_eq!(heartbeat.overdue(after(50)), None);
    }

    #[test]
    fn an_endless_wait_is_never_overdue() {
        let heartbeat = Heartbeat::new(Instant::now());
        heartbeat.announce(Instant::now(), Duration::MAX);
        assert_eq!(heartbeat.overdue(Instant::now() + Duration::from_secs(1 << 30)), None);
    }
}
