//! The memory that all requests share: what finds no room in it is refused, so that no load ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes for everything that requests hold: bodies that come, the messages that are made of them and wait, and answers that
/// are long. More where a single request may need a quarter of it.
pub const MAX_BYTES: usize = 96 * 1024 * 1024;

/// The books of it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Books>);

#[derive(Debug)]
struct Books {
    limit: usize,
    taken: AtomicUsize,
}

/// A part of it, which is given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    bytes: usize,
}

/// How many bytes there are for requests and packets of this size.
#[must_use]
pub fn limit(largest: usize) -> usize {
    MAX_BYTES.max(largest.saturating_mul(4))
}

impl Memory {
    /// So many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Books { limit, taken: AtomicUsize::new(0) }))
    }

    /// Enough for requests and packets of this size.
    #[must_use]
    pub fn for_requests(largest: usize) -> Self {
        Self::new(limit(largest))
    }

    /// A part of so many bytes, if there is room for it.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Share> {
        let mut share = self.nothing();
        share.resize(bytes).then_some(share)
    }

    /// A part that is yet to become one.
    #[must_use]
    pub fn nothing(&self) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Makes it this large. Returns false, and leaves it as it is, if there is no room.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let Books { limit, taken } = &*self.memory.0;
        match bytes.checked_sub(self.bytes) {
            None => {
                taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            }
            Some(more) => {
                // the sum cannot overflow: each of its parts is memory that exists, or was refused here
                let before = taken.fetch_add(more, Ordering::Relaxed);
                if before.saturating_add(more) > *limit {
                    taken.fetch_sub(more, Ordering::Relaxed);
                    return false;
                }
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the system takes for an allocation of so many bytes (malloc of glibc).
#[must_use]
pub const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => (bytes + 8).next_multiple_of(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_bounded_and_given_back() {
        let memory = Memory::new(10);
        let first = memory.take(6).unwrap();
        assert!(memory.take(5).is_none());
        let mut second = memory.take(4).unwrap();
        assert!(!second.resize(5) && memory.taken() == 10);
        assert!(second.resize(1) && memory.taken() == 7);
        drop(first);
        assert!(second.resize(10) && memory.taken() == 10);
        drop(second);
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn large_requests_have_room_for_four() {
        assert_eq!(Memory::for_requests(1024).0.limit, MAX_BYTES);
        assert_eq!(Memory::for_requests(MAX_BYTES).0.limit, 4 * MAX_BYTES);
    }
}
