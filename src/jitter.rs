//! Random numbers for jitter, from the keys that std gives to hash maps: no crate is needed.

use std::hash::{BuildHasher, RandomState};

/// A number from 0 to 1.
#[must_use]
pub fn jitter() -> f64 {
    let bits = RandomState::new().hash_one(0);
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}
