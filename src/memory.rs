//! The memory that all requests share. A request beyond it is refused, so that no load ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

/// Bytes for everything that requests hold: bodies as they arrive, the messages made of them while they wait, and long
/// replies. It is more where a single request may need over a quarter of it.
pub const MAX_BYTES: usize = 96 * 1024 * 1024;

/// Further bytes for documents such as metrics, which must be served when the rest is used up.
const RESERVE: usize = 8 * 1024 * 1024;

/// An account of bytes. Its clones are one account.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    taken: AtomicUsize,
    /// The account that this is a part of.
    whole: Option<Memory>,
}

/// Bytes of an account, which are given back on drop.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    bytes: usize,
}

/// The bytes are not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Full {
    /// In the whole account.
    #[error("all requests together hold as much memory as they may")]
    All,
    /// In the part for one token.
    #[error("the requests of one token hold as much memory as they may")]
    Part,
}

impl Memory {
    /// An account of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Account { limit, taken: AtomicUsize::new(0), whole: None }))
    }

    /// An account for requests and packets of up to `largest` bytes.
    #[must_use]
    pub fn for_requests(largest: usize) -> Self {
        Self::new(MAX_BYTES.max(largest.saturating_mul(4)))
    }

    /// An account for one of several users: half of this one, so that some is left for the others.
    #[must_use]
    pub fn part(&self) -> Self {
        Self(Arc::new(Account { limit: self.0.limit / 2, taken: AtomicUsize::new(0), whole: Some(self.clone()) }))
    }

    /// A share of no bytes yet.
    #[must_use]
    pub fn nothing(&self) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }

    /// Bytes in use.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Takes bytes, up to `reserve` beyond the limit. If they are refused, nothing is taken.
    fn add(&self, more: usize, reserve: usize) -> Result<(), Full> {
        let Account { limit, taken, whole } = &*self.0;
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
    /// If the bytes are not available; then it stays as it is.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Full> {
        self.resize_within(bytes, 0)
    }

    /// The same for a document, which may use the reserve too.
    ///
    /// # Errors
    /// If the reserve is used up as well.
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

    /// Splits off a share of `bytes`, or of all that it has.
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

/// What an allocation of `bytes` takes from the system (malloc of glibc).
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
    fn bytes_are_bounded_and_given_back() {
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
    fn one_part_leaves_bytes_for_the_others() {
        let memory = Memory::new(10);
        let [one, other] = [memory.part(), memory.part()];
        let first = take(&one, 5).unwrap();
        assert_eq!(take(&one, 1).unwrap_err(), Full::Part);
        let second = take(&other, 3).unwrap();
        let third = take(&memory, 2).unwrap();
        assert_eq!(take(&other, 1).unwrap_err(), Full::All);
        assert_eq!([one.taken(), other.taken(), memory.taken()], [5, 3, 10], "nothing is taken by what is refused");
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
    fn four_large_requests_fit() {
        assert_eq!(Memory::for_requests(1024).0.limit, MAX_BYTES);
        assert_eq!(Memory::for_requests(MAX_BYTES).0.limit, 4 * MAX_BYTES);
    }
}
