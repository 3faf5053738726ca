//! The memory that all requests share: what finds no room in it is refused, so that no load ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

/// Bytes for everything that requests hold: bodies that come, the messages that are made of them and wait, and answers that
/// are long. More where a single request may need a quarter of it.
pub const MAX_BYTES: usize = 96 * 1024 * 1024;

/// Bytes beside these for documents that are made for whoever looks at a bridge that has no memory left.
const RESERVE: usize = 8 * 1024 * 1024;

/// The books of it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Books>);

#[derive(Debug)]
struct Books {
    limit: usize,
    taken: AtomicUsize,
    /// What this is a part of.
    whole: Option<Memory>,
}

/// A part of it, which is given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    bytes: usize,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Full {
    /// Nor for anybody.
    #[error("all requests together hold as much memory as they may")]
    All,
    /// The part of one of those who share it is taken.
    #[error("the requests of one token hold as much memory as they may")]
    Part,
}

/// How many bytes there are for requests and packets of this size.
fn limit(largest: usize) -> usize {
    MAX_BYTES.max(largest.saturating_mul(4))
}

impl Memory {
    /// So many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Books { limit, taken: AtomicUsize::new(0), whole: None }))
    }

    /// Enough for requests and packets of this size.
    #[must_use]
    pub fn for_requests(largest: usize) -> Self {
        Self::new(limit(largest))
    }

    /// What one of several may take of it: half, so that the others have room too.
    #[must_use]
    pub fn part(&self) -> Self {
        Self(Arc::new(Books { limit: self.0.limit / 2, taken: AtomicUsize::new(0), whole: Some(self.clone()) }))
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

    /// Takes so many bytes, and some beyond the limit if these are in reserve. What is refused is never in the books.
    fn add(&self, more: usize, reserve: usize) -> Result<(), Full> {
        let Books { limit, taken, whole } = &*self.0;
        let sum = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= limit.saturating_add(reserve));
        let added = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
        added.map_err(|_| if whole.is_some() { Full::Part } else { Full::All })?;
        let refused = whole.as_ref().map_or(Ok(()), |whole| whole.add(more, reserve));
        refused.inspect_err(|_| {
            taken.fetch_sub(more, Ordering::Relaxed);
        })
    }

    fn give_back(&self, bytes: usize) {
        self.0.taken.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }
}

impl Share {
    /// Makes it this large.
    ///
    /// # Errors
    /// If there is no room; it stays as it is.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Full> {
        self.resize_within(bytes, 0)
    }

    /// The same for a document that has a reserve of its own.
    ///
    /// # Errors
    /// If there is no room there either.
    pub fn resize_in_reserve(&mut self, bytes: usize) -> Result<(), Full> {
        self.resize_within(bytes, RESERVE)
    }

    fn resize_within(&mut self, bytes: usize, reserve: usize) -> Result<(), Full> {
        match bytes.checked_sub(self.bytes) {
            None => self.memory.give_back(self.bytes - bytes),
            Some(0) => {}
            Some(more) => self.memory.add(more, reserve)?,
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Makes two of it, the other one of so many bytes if it has them.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { memory: self.memory.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
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

    fn take(memory: &Memory, bytes: usize) -> Result<Share, Full> {
        let mut share = memory.nothing();
        share.resize(bytes).map(|()| share)
    }

    #[test]
    fn what_is_taken_is_bounded_and_given_back() {
        let memory = Memory::new(10);
        let first = take(&memory, 6).unwrap();
        assert_eq!(take(&memory, 5).unwrap_err(), Full::All);
        let mut second = take(&memory, 4).unwrap();
        assert_eq!((second.resize(5), memory.taken()), (Err(Full::All), 10));
        assert_eq!((second.resize(1), memory.taken()), (Ok(()), 7));
        drop(first);
        assert_eq!((second.resize(10), memory.taken()), (Ok(()), 10));
        let third = second.split(4);
        drop(second);
        assert_eq!(memory.taken(), 4);
        drop(third);
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn one_part_leaves_room_for_the_others() {
        let memory = Memory::new(10);
        let [one, other] = [memory.part(), memory.part()];
        let first = take(&one, 5).unwrap();
        assert_eq!(take(&one, 1).unwrap_err(), Full::Part);
        let second = take(&other, 3).unwrap();
        let third = take(&memory, 2).unwrap();
        assert_eq!(take(&other, 1).unwrap_err(), Full::All);
        assert_eq!([one.taken(), other.taken(), memory.taken()], [5, 3, 10], "what is refused is in no books");
        drop((first, second, third));
        assert_eq!([one.taken(), other.taken(), memory.taken()], [0, 0, 0]);
    }

    #[test]
    fn documents_have_a_reserve() {
        let memory = Memory::new(10);
        let _first = take(&memory, 10).unwrap();
        let mut document = memory.nothing();
        assert_eq!(document.resize_in_reserve(RESERVE), Ok(()));
        assert_eq!(document.resize_in_reserve(RESERVE + 1), Err(Full::All));
    }

    #[test]
    fn large_requests_have_room_for_four() {
        assert_eq!(Memory::for_requests(1024).0.limit, MAX_BYTES);
        assert_eq!(Memory::for_requests(MAX_BYTES).0.limit, 4 * MAX_BYTES);
    }
}
