//! The alarm of the thread that settles what is due.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread sleeps where no alarm is set.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The alarm: when the thread is to wake up.
#[derive(Default)]
pub struct Clock {
    alarm: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Clock {
    /// Wakes the thread at this time, or earlier. `None` changes nothing.
    pub fn wake_at(&self, at: Option<Instant>) {
        let Some(at) = at else { return };
        let mut alarm = self.lock();
        if alarm.is_none_or(|set| at < set) {
            *alarm = Some(at);
            drop(alarm);
            self.changed.notify_all();
        }
    }

    /// Calls `expire` whenever the alarm is due, until that returns false. It has to set the next alarm.
    pub fn run(&self, expire: impl Fn() -> bool) {
        loop {
            *self.lock() = None;
            if !expire() {
                return;
            }
            let mut alarm = self.lock();
            loop {
                let left = alarm.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    break;
                }
                alarm = self.changed.wait_timeout(alarm, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn an_earlier_alarm_wakes_the_thread_and_a_later_one_does_not_delay_it() {
        let (clock, (sender, calls)) = (Clock::default(), mpsc::channel());
        let alarm = |milliseconds| clock.wake_at(Some(Instant::now() + Duration::from_millis(milliseconds)));
        thread::scope(|scope| {
            scope.spawn(|| {
                clock.run(|| {
                    alarm(600_000);
                    sender.send(()).is_ok()
                });
            });
            calls.recv().unwrap();
            alarm(50);
            alarm(300_000);
            calls.recv_timeout(Duration::from_secs(60)).unwrap();
            drop(calls);
            alarm(0);
        });
    }
}
