//! How fast the messages of a token may come: a bucket of permissions that fills steadily.

use std::time::{Duration, Instant};

/// The longest time that one permission may take, so that no reckoning overflows.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A bucket for `rate` permissions per second: that many fit into it, and at least one; it starts full.
#[derive(Debug)]
pub struct Bucket {
    /// What one permission takes to come.
    interval: Duration,
    /// How long before it is full it has one permission.
    slack: Duration,
    /// When it is full, in times and not in fractions: who waits as long as was said gets the permission.
    full: Instant,
}

impl Bucket {
    /// A full one; the rate is above 0.
    pub fn new(rate: f64, now: Instant) -> Self {
        let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or(LONGEST).min(LONGEST);
        Self { interval: seconds(1.0 / rate), slack: seconds((rate.max(1.0) - 1.0) / rate), full: now }
    }

    /// Takes so many permissions, or none and says how long there will not be as many. More than fit into it are lent by
    /// a full one, so that the rate holds all the same.
    ///
    /// # Errors
    /// The time until there are as many.
    pub fn take(&mut self, count: u32, now: Instant) -> Result<(), Duration> {
        let until_full = self.full.saturating_duration_since(now);
        let slack = self.slack.saturating_sub(self.interval * count.saturating_sub(1));
        let wait = until_full.saturating_sub(slack);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full = now + until_full + self.interval * count;
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
    fn a_full_bucket_has_a_seconds_worth_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        for _ in 0..4 {
            assert_eq!(bucket.take(1, start), Ok(()));
        }
        assert_eq!(bucket.take(1, start), Err(milliseconds(250)));
        assert_eq!(bucket.take(1, start + milliseconds(249)), Err(milliseconds(1)), "what is refused takes nothing");
        assert_eq!(bucket.take(1, start + milliseconds(250)), Ok(()));
        assert_eq!(bucket.take(1, start + milliseconds(250)), Err(milliseconds(250)));
    }

    #[test]
    fn a_long_pause_fills_it_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2.0, start);
        let later = start + Duration::from_secs(1000);
        assert_eq!([bucket.take(1, later), bucket.take(1, later)], [Ok(()), Ok(())]);
        assert_eq!(bucket.take(1, later), Err(milliseconds(500)));
    }

    #[test]
    fn below_one_per_second_there_is_one_at_a_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.1, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        assert_eq!(bucket.take(1, start + Duration::from_secs(1)), Err(Duration::from_secs(9)));
        assert_eq!(bucket.take(1, start + Duration::from_secs(10)), Ok(()));
        assert_eq!(bucket.take(1, start + Duration::from_secs(10)), Err(Duration::from_secs(10)));
    }

    #[test]
    fn a_rate_between_has_room_for_its_fraction() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1.5, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        // half a permission is left, the other half takes a third of a second
        let wait = bucket.take(1, start).unwrap_err();
        assert!((milliseconds(333)..milliseconds(334)).contains(&wait), "{wait:?}");
        assert_eq!(bucket.take(1, start + wait), Ok(()));
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        assert_eq!(bucket.take(3, start), Ok(()));
        assert_eq!(bucket.take(2, start), Err(milliseconds(250)));
        assert_eq!(bucket.take(1, start), Ok(()), "what is refused takes nothing");
        assert_eq!(bucket.take(4, start), Err(milliseconds(1000)));
        assert_eq!(bucket.take(4, start + milliseconds(1000)), Ok(()));
    }

    #[test]
    fn a_full_bucket_lends_what_it_does_not_hold_and_the_average_stays() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        assert_eq!(bucket.take(12, start), Ok(()));
        assert_eq!(bucket.take(1, start), Err(milliseconds(2250)));
        assert_eq!(bucket.take(12, start + milliseconds(2250)), Err(milliseconds(750)), "only a full one lends");
        assert_eq!(bucket.take(12, start + milliseconds(3000)), Ok(()));
        let mut slow = Bucket::new(f64::MIN_POSITIVE, start);
        assert_eq!(slow.take(1000, start), Ok(()), "the longest debt overflows nothing");
        assert_eq!(slow.take(1000, start), Err(LONGEST * 1000));
    }

    #[test]
    fn whoever_waits_as_long_as_was_said_gets_the_permission() {
        for rate in [0.3, 0.7, 1.0, 3.0, 7.7, 1e6] {
            let mut now = Instant::now();
            let mut bucket = Bucket::new(rate, now);
            for _ in 0..100_000 {
                if let Err(wait) = bucket.take(1, now) {
                    now += wait;
                    assert_eq!(bucket.take(1, now), Ok(()), "{rate}");
                }
            }
        }
    }

    #[test]
    fn the_smallest_rate_overflows_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(f64::MIN_POSITIVE, start);
        assert_eq!(bucket.take(1, start), Ok(()));
        assert_eq!(bucket.take(1, start), Err(LONGEST));
    }
}
