//! How long the machine was suspended: [`Instant`](std::time::Instant) does not count that time on Linux.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The two clocks are not read at the same moment.
const LEAST: Duration = Duration::from_secs(1);

/// How long the machine was suspended until the last look.
#[derive(Debug)]
pub struct Suspensions(Duration);

impl Suspensions {
    /// From now on.
    pub fn new() -> Self {
        Self(until_now())
    }

    /// Since the last look; shorter ones than a second count later, with others.
    pub fn more(&mut self) -> Duration {
        self.more_of(until_now())
    }

    fn more_of(&mut self, now: Duration) -> Duration {
        let more = now.saturating_sub(self.0);
        if more < LEAST {
            return Duration::ZERO;
        }
        self.0 = now;
        more
    }
}

fn until_now() -> Duration {
    let [all, awake] = [ClockId::Boottime, ClockId::Monotonic].map(|clock| duration(clock_gettime(clock)));
    all.saturating_sub(awake)
}

/// Neither clock is negative.
fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suspension_counts_once() {
        let seconds = Duration::from_secs_f64;
        let mut suspensions = Suspensions(seconds(10.0));
        for (until_now, more) in [(10.0, 0.0), (9.5, 0.0), (10.5, 0.0), (11.5, 1.5), (11.5, 0.0), (3611.5, 3600.0)] {
            assert_eq!(suspensions.more_of(seconds(until_now)), seconds(more), "{until_now}");
        }
        assert_eq!(Suspensions::new().more(), Duration::ZERO);
    }
}
