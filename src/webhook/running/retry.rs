//! When a failed attempt is followed by another one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use httpdate::parse_http_date;

/// The longest pause between two attempts that nobody asked for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The shortest and the longest pause that an endpoint may ask for, so that it is neither called at full speed nor left
/// alone for good.
const SHORTEST_RETRY_AFTER: Duration = Duration::from_secs(1);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What an attempt led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx: the endpoint has the message.
    Delivered,
    /// Another attempt may succeed.
    Retry,
    /// The endpoint will not take this message: 410 Gone, 413 Content Too Large, also with `Retry-After`.
    Hopeless,
}

/// What a status means (RFC 9110, 15).
pub fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        410 | 413 => Verdict::Hopeless,
        _ => Verdict::Retry,
    }
}

/// How long an endpoint asks to wait by `Retry-After`: seconds or a date (RFC 9110, 10.2.3), a second at least
/// and an hour at most.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    let date = || parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default());
    seconds.or_else(date).map(|wait| wait.clamp(SHORTEST_RETRY_AFTER, LONGEST_RETRY_AFTER))
}

/// Until when an endpoint asked not to be called. It holds for all threads of a webhook.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// The endpoint asked for a pause.
    pub fn hold_until(&self, at: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(at));
    }

    /// How long to wait from now on.
    pub fn wait(&self, now: Instant) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|at| at.saturating_duration_since(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_a_success_and_two_statuses_are_final() {
        for (status, expected) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (299, Verdict::Delivered),
            (199, Verdict::Retry),
            (301, Verdict::Retry),
            (404, Verdict::Retry),
            (410, Verdict::Hopeless),
            (413, Verdict::Hopeless),
            (429, Verdict::Retry),
            (503, Verdict::Retry),
        ] {
            assert_eq!(verdict(status), expected, "{status}");
        }
    }

    #[test]
    fn a_pause_that_is_asked_for_is_seconds_or_a_date_from_a_second_to_an_hour() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("0", Some(1)),
            (" 7 ", Some(7)),
            ("86400", Some(3600)),
            ("18446744073709551615", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("+7", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(1)),
            ("Sat, 06 Nov 2094 08:49:27 GMT", Some(3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn the_latest_end_of_a_pause_counts() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.wait(now), Duration::ZERO);
        pace.hold_until(now + Duration::from_secs(7));
        pace.hold_until(now + Duration::from_secs(3));
        assert_eq!(pace.wait(now), Duration::from_secs(7));
        assert_eq!(pace.wait(now + Duration::from_secs(8)), Duration::ZERO);
    }
}
