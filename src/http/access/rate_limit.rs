//! How fast the messages of one token may come: a bucket of permits that refills at a constant rate.

use std::time::{Duration, Instant};

/// The longest interval between two permits, so that no computation overflows.
const MAX_INTERVAL: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A bucket that gets `rate` permits per second. It holds as many, and at least one, and is full at the start.
///
/// It keeps a point in time instead of a number of permits (the generic cell rate algorithm), so nothing is rounded:
/// a caller that waits for as long as it was told gets its permit.
#[derive(Debug)]
pub struct RateLimit {
    /// The time in which one permit is added.
    interval: Duration,
    /// The time that a bucket with one permit takes to be full.
    burst: Duration,
    full_at: Instant,
}

impl RateLimit {
    /// A full bucket. The rate must be above 0.
    pub fn new(rate: f64, now: Instant) -> Self {
        let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or(MAX_INTERVAL).min(MAX_INTERVAL);
        Self { interval: seconds(1.0 / rate), burst: seconds((rate.max(1.0) - 1.0) / rate), full_at: now }
    }

    /// Takes `count` permits, or none. A full bucket gives more than it holds, and then takes longer to refill, so that
    /// the average rate stays.
    ///
    /// # Errors
    /// The time until there are enough permits.
    pub fn take(&mut self, count: u32, now: Instant) -> Result<(), Duration> {
        let until_full = self.full_at.saturating_duration_since(now);
        let burst = self.burst.saturating_sub(self.interval * count.saturating_sub(1));
        let wait = until_full.saturating_sub(burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = now + until_full + self.interval * count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_full_bucket_holds_the_permits_of_one_second() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(4.0, start);
        for _ in 0..4 {
            assert_eq!(bucket.take(1, start), Ok(()));
        }
        assert_eq!(bucket.take(1, start), Err(milliseconds(250)));
        assert_eq!(bucket.take(1, start + milliseconds(249)), Err(milliseconds(1)), "a refusal takes no permits");
        assert_eq!(bucket.take(1, start + milliseconds(250)), Ok(()));
        assert_eq!(bucket.take(1, start + milliseconds(250)), Err(milliseconds(250)));
    }

    #[test]
    fn a_long_pause_fills_the_bucket_and_no_more() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(2.0, start);
        let later = start + Duration::from_secs(1000);
        assert_eq!([bucket.take(1, later), bucket.take(1, later)], [Ok(()), Ok(())]);
        assert_eq!(bucket.take(1, later), Err(milliseconds(500)));
    }

    #[test]
    fn a_rate_below_one_per_second_gives_one_permit_at_a_time() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(0.1, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        assert_eq!(bucket.take(1, start + Duration::from_secs(1)), Err(Duration::from_secs(9)));
        assert_eq!(bucket.take(1, start + Duration::from_secs(10)), Ok(()));
        assert_eq!(bucket.take(1, start + Duration::from_secs(10)), Err(Duration::from_secs(10)));
    }

    #[test]
    fn the_bucket_holds_fractions_of_a_permit() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(1.5, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        // half a permit is left, and the other half takes a third of a second
        let wait = bucket.take(1, start).unwrap_err();
        assert!((milliseconds(333)..milliseconds(334)).contains(&wait), "{wait:?}");
        assert_eq!(bucket.take(1, start + wait), Ok(()));
    }

    #[test]
    fn many_permits_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(4.0, start);
        assert_eq!(bucket.take(3, start), Ok(()));
        assert_eq!(bucket.take(2, start), Err(milliseconds(250)));
        assert_eq!(bucket.take(1, start), Ok(()), "a refusal takes no permits");
        assert_eq!(bucket.take(4, start), Err(milliseconds(1000)));
        assert_eq!(bucket.take(4, start + milliseconds(1000)), Ok(()));
    }

    #[test]
    fn a_full_bucket_gives_more_than_it_holds_and_the_average_rate_stays() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(4.0, start);
        assert_eq!(bucket.take(12, start), Ok(()));
        assert_eq!(bucket.take(1, start), Err(milliseconds(2250)));
        assert_eq!(
            bucket.take(12, start + milliseconds(2250)),
            Err(milliseconds(750)),
            "only a full bucket gives more than it holds"
        );
        assert_eq!(bucket.take(12, start + milliseconds(3000)), Ok(()));
        let mut slow = RateLimit::new(f64::MIN_POSITIVE, start);
        assert_eq!(slow.take(1000, start), Ok(()), "no debt overflows");
        assert_eq!(slow.take(1000, start), Err(MAX_INTERVAL * 1000));
    }

    #[test]
    fn a_caller_that_waits_as_long_as_told_gets_its_permit() {
        for rate in [0.3, 0.7, 1.0, 3.0, 7.7, 1e6] {
            let mut now = Instant::now();
            let mut bucket = RateLimit::new(rate, now);
            for _ in 0..100_000 {
                if let Err(wait) = bucket.take(1, now) {
                    now += wait;
                    assert_eq!(bucket.take(1, now), Ok(()), "{rate}");
                }
            }
        }
    }

    #[test]
    fn the_smallest_rate_does_not_overflow() {
        let start = Instant::now();
        let mut bucket = RateLimit::new(f64::MIN_POSITIVE, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        assert_eq!(bucket.take(1, start), Err(MAX_INTERVAL));
    }
}
