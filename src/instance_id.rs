//! A random number that tells this process of the daemon from earlier and later ones.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// The same during the life of the process. Another process has the same with a probability of 2⁻⁶⁴.
#[must_use]
pub fn instance_id() -> u64 {
    static INSTANCE_ID: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    *INSTANCE_ID
}
