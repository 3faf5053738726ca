//! How long to wait before the next try: doubling, with jitter, up to a limit.

use std::time::Duration;

use crate::jitter::jitter;

const FIRST: Duration = Duration::from_millis(100);
/// So often the next connection follows at once, where it is known over what the last one ended: whoever can end it by a
/// publish shall not have us connect at full speed.
const MAX_AT_ONCE: u32 = 4;

/// The pauses between tries to connect.
pub struct Backoff {
    next: Duration,
    longest: Duration,
    /// Connections that followed another without a pause.
    at_once: u32,
}

impl Backoff {
    pub fn new(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest, at_once: 0 }
    }

    /// The next pause: between half and all of 0.1 s, 0.2 s, 0.4 s … up to the longest, less what the try has taken: a
    /// network that is back is not to wait for a timeout and a pause.
    /// The jitter keeps many bridges from coming back to a restarted broker at the same moment.
    pub fn pause(&mut self, tried: Duration) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(0.5 + jitter() / 2.0).saturating_sub(tried)
    }

    /// The pause after a connection that came about; none, a few times, where it is known over what it ended.
    pub fn pause_after(&mut self, is_known: bool) -> Duration {
        if is_known && self.at_once < MAX_AT_ONCE {
            self.at_once += 1;
            return Duration::ZERO;
        }
        self.pause(Duration::ZERO)
    }

    /// Starts again from the shortest pause: the connection was stable.
    pub fn reset(&mut self) {
        self.at_once = 0;
        self.next = FIRST.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest_and_start_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for whole in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause(Duration::ZERO);
            let whole = Duration::from_millis(whole);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause(Duration::ZERO) <= FIRST);
    }

    #[test]
    fn what_a_try_has_taken_is_no_part_of_the_pause() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second);
        while backoff.next < second {
            backoff.pause(Duration::ZERO);
        }
        assert!(backoff.pause(second / 4) <= second * 3 / 4);
        assert_eq!(backoff.pause(second), Duration::ZERO);
    }

    #[test]
    fn a_known_cause_has_no_pause_a_few_times() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for _ in 0..2 {
            assert!((0..MAX_AT_ONCE).all(|_| backoff.pause_after(true).is_zero()));
            assert!(!backoff.pause_after(true).is_zero() && !backoff.pause_after(false).is_zero());
            backoff.reset();
        }
    }

    #[test]
    fn jitter_differs_from_time_to_time() {
        let pauses: std::collections::HashSet<Duration> =
            (0..10).map(|_| Backoff::new(FIRST).pause(Duration::ZERO)).collect();
        assert!(pauses.len() > 1);
    }

    #[test]
    fn a_limit_below_the_first_pause_holds() {
        assert!(Backoff::new(Duration::from_millis(10)).pause(Duration::ZERO) <= Duration::from_millis(10));
    }
}
