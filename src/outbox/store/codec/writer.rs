//! Writes the parts of a row.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::reader::VERSION;

/// A row that is being written.
pub struct Writer(Vec<u8>);

impl Writer {
    /// With room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        let mut row = Self(Vec::with_capacity(bytes));
        row.byte(VERSION);
        row
    }

    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    /// Up to 4 GiB. Nothing longer gets here: bodies of requests are far shorter.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.array(length.to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Nanoseconds since 1970, from 1970 to 2554: what lies outside becomes the nearest of them.
    pub fn time(&mut self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.array(nanoseconds.to_le_bytes());
    }

    /// The row.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
