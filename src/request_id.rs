//! The identifier of a request, in its reply and in the records that belong to it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::instance_id::instance_id;

/// The longest identifier that a request may send, in bytes.
const MAX_GIVEN: usize = 128;

thread_local! {
    /// Of the request that this thread works on.
    static CURRENT: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// The identifier of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// The number of the request in this process.
    Made(u64),
    /// Given by the caller.
    Given(Arc<str>),
}

impl RequestId {
    /// One that no other request has. Needs no system call, and no memory.
    #[must_use]
    pub fn made() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Self::Made(COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// The identifier that a request sends, if it is fit for a header and a record, and else a new one.
    #[must_use]
    pub fn of(given: Option<&str>) -> Self {
        let is_sound =
            |text: &&str| (1..=MAX_GIVEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        given.filter(is_sound).map_or_else(Self::made, |text| Self::Given(text.into()))
    }

    /// Adds it to the records of this thread while `work` runs.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        let _reset = Reset(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// That of the request that this thread works on.
    #[must_use]
    pub fn current() -> Option<Self> {
        // a thread that ends may have dropped the variable
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }
}

/// Restores the identifier of before, after a panic too.
struct Reset(Option<RequestId>);

impl Drop for Reset {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(number) => write!(f, "{:016x}-{number:x}", instance_id()),
            Self::Given(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_of_the_caller_is_taken_if_it_is_sound() {
        let longest = "x".repeat(MAX_GIVEN);
        for sound in ["a", "0192f1c6-7b1e-7cc0-a0d1-5b1d9c6f2f3a", "\"{}\"", &longest] {
            assert_eq!(RequestId::of(Some(sound)).to_string(), sound);
        }
        let too_long = format!("{longest}x");
        for bad in [Some(""), Some("a b"), Some("a\tb"), Some(&too_long), Some("ü"), None] {
            assert!(matches!(RequestId::of(bad), RequestId::Made(_)), "{bad:?}");
        }
        assert_ne!(RequestId::made().to_string(), RequestId::made().to_string());
    }

    #[test]
    fn it_is_current_while_its_request_is_worked_on() {
        let id = RequestId::of(Some("a"));
        let other = RequestId::of(Some("b"));
        id.during(|| {
            assert_eq!(other.during(RequestId::current), Some(other.clone()));
            assert_eq!(RequestId::current(), Some(id.clone()));
        });
        let panicked = std::panic::catch_unwind(|| id.during(|| panic!("the work fails")));
        assert!(panicked.is_err());
        assert_eq!(RequestId::current(), None);
    }
}
