//! The memory that all topic buffers share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all buffers together may take, beyond the least of each. Where that is not enough, each has an equal
/// part.
pub(super) const MAX_ALL_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that a buffer may take in any case.
const LEAST_BYTES: usize = 256 * 1024;

/// What all topic buffers take.
#[derive(Default)]
pub struct Budget {
    pub bytes: AtomicUsize,
    pub buffers: AtomicUsize,
}

impl Budget {
    /// Whether a buffer must drop messages so that all buffers together do not take too much.
    pub fn is_exceeded_by(&self, bytes_of_buffer: usize) -> bool {
        let part = || (MAX_ALL_BYTES / self.buffers.load(Ordering::Relaxed).max(1)).max(LEAST_BYTES);
        self.bytes.load(Ordering::Relaxed) > MAX_ALL_BYTES && bytes_of_buffer > part()
    }
}
