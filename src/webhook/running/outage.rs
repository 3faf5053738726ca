//! Outages of an endpoint: each is recorded when it begins and when it ends.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::webhook::status::LastError;

/// The outage of an endpoint, if there is one: it lasts until a message is delivered and the last attempt of no other
/// message has failed.
#[derive(Debug, Default)]
pub struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The identifiers of these messages.
    failing: HashSet<String>,
    since: Option<SystemTime>,
    failures: u64,
    last_error: Option<LastError>,
}

/// An outage that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// How long it lasted.
    pub lasted: Duration,
    /// Attempts that failed in it.
    pub failures: u64,
}

impl Outage {
    /// An attempt failed, which may succeed later. Returns whether an outage begins.
    pub fn failed(&self, id: &str, error: &str, now: SystemTime) -> bool {
        let mut state = self.lock();
        let begins = state.since.is_none();
        state.since.get_or_insert(now);
        state.failures += 1;
        state.failing.insert(id.to_owned());
        state.last_error = Some(LastError { error: error.to_owned(), time: now });
        begins
    }

    /// A message is given up for this reason. That does not end an outage.
    pub fn gave_up(&self, id: &str, error: &str, now: SystemTime) {
        let mut state = self.lock();
        state.failing.remove(id);
        state.last_error = Some(LastError { error: error.to_owned(), time: now });
    }

    /// A message was delivered. Returns the outage that ends with that.
    pub fn delivered(&self, id: &str, now: SystemTime) -> Option<Ended> {
        let mut state = self.lock();
        state.failing.remove(id);
        let since = state.since.filter(|_| state.failing.is_empty())?;
        state.since = None;
        let failures = std::mem::take(&mut state.failures);
        Some(Ended { lasted: now.duration_since(since).unwrap_or_default(), failures })
    }

    /// Since when there is an outage.
    pub fn since(&self) -> Option<SystemTime> {
        self.lock().since
    }

    /// Why the last attempt failed that did.
    pub fn last_error(&self) -> Option<LastError> {
        self.lock().last_error.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_ends_with_a_delivery_when_no_other_message_fails() {
        let outage = Outage::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(outage.delivered("a", at(0)), None, "a message that is delivered at once");
        assert!(outage.failed("a", "refused", at(1)));
        assert!(!outage.failed("a", "timed out", at(2)));
        assert!(!outage.failed("b", "closed", at(3)));
        assert_eq!(outage.delivered("c", at(4)), None);
        assert_eq!(outage.delivered("b", at(5)), None);
        assert_eq!((outage.since(), outage.last_error().unwrap().error), (Some(at(1)), "closed".to_owned()));
        assert_eq!(outage.delivered("a", at(6)), Some(Ended { lasted: Duration::from_secs(5), failures: 3 }));
        assert_eq!(outage.delivered("a", at(7)), None);
        assert!(outage.failed("a", "refused", at(8)), "another one");
        outage.gave_up("a", "gone", at(9));
        assert_eq!((outage.since(), outage.last_error().unwrap().error), (Some(at(8)), "gone".to_owned()));
        assert_eq!(outage.delivered("b", at(10)), Some(Ended { lasted: Duration::from_secs(2), failures: 1 }));
    }
}
