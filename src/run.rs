//! What tells this run of the daemon from all others, and what leaves a little to chance.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// A number that no other run has, but by chance.
#[must_use]
pub fn number() -> u64 {
    static NUMBER: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    *NUMBER
}

/// A number from 0 to 1. The keys of a hash map are random enough for jitter, and need no crate.
#[must_use]
pub fn random() -> f64 {
    let bits = RandomState::new().hash_one(0);
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}
