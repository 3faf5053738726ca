//! How long to wait before the next try: doubling, with jitter, up to a limit.

use std::time::Duration;

use crate::jitter::jitter;

const FIRST: Duration = Duration::from_millis(100);
/// So many connections follow another one without a pause, where the cause of its end is known: a caller who can end it
/// by a publish must not make us connect at full speed.
const MAX_AT_ONCE: u32 = 4;

/// The pauses between tries.
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

    /// The next pause: between half and all of 0.1 s, 0.2 s, 0.4 s … up to the longest, less the time that the try
    /// took, so that after a timeout there is no further pause. The jitter keeps many bridges from connecting to a
    /// restarted server at the same moment.
    pub fn pause(&mut self, took: Duration) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(0.5 + jitter() / 2.0).saturating_sub(took)
    }

    /// The pause after an established connection: none, a few times, where the cause of its end is known.
    pub fn pause_after(&mut self, is_known: bool) -> Duration {
        if is_known && self.at_once < MAX_AT_ONCE {
            self.at_once += 1;
            return Duration::ZERO;
        }
        self.pause(Duration::ZERO)
    }

    /// Starts again from the shortest pause, after a stable connection.
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
    fn the_time_that_a_try_took_shortens_the_pause() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second);
        while backoff.next < second {
            backoff.pause(Duration::ZERO);
        }
        assert!(backoff.pause(second / 4) <= second * 3 / 4);
        assert_eq!(backoff.pause(second), Duration::ZERO);
    }

    #[test]
    fn after_a_known_cause_there_is_no_pause_a_few_times() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for _ in 0..2 {
            assert!((0..MAX_AT_ONCE).all(|_| backoff.pause_after(true).is_zero()));
            assert!(!backoff.pause_after(true).is_zero() && !backoff.pause_after(false).is_zero());
            backoff.reset();
        }
    }

    #[test]
    fn jitter_differs_from_pause_to_pause() {
        let pauses: std::collections::HashSet<Duration> =
            (0..10).map(|_| Backoff::new(FIRST).pause(Duration::ZERO)).collect();
        assert!(pauses.len() > 1);
    }

    #[test]
    fn a_limit_below_the_first_pause_holds() {
        assert!(Backoff::new(Duration::from_millis(10)).pause(Duration::ZERO) <= Duration::from_millis(10));
    }
}
