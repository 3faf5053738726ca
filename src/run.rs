//! What tells this run of the daemon from all others.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// A number that no other run has, but by chance.
#[must_use]
pub fn number() -> u64 {
    static NUMBER: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    *NUMBER
}
