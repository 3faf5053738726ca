//! Where messages may be missing in a topic buffer, as the bridge was not connected.

use std::collections::VecDeque;

/// A position where messages may be missing.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The position of the message after it.
    pub position: u64,
    /// How many had begun, this one included.
    pub number: u64,
}

/// The gaps of one buffer: at most one more than there are messages.
#[derive(Default)]
pub struct Gaps {
    /// The first may lie before the oldest message: then it is the last of those that do.
    pub(super) ended: VecDeque<Gap>,
    begun: u64,
    is_open: bool,
}

impl Gaps {
    /// How many have begun.
    pub fn count(&self) -> u64 {
        self.begun
    }

    pub fn begin(&mut self) {
        self.begun += 1;
        self.is_open = true;
    }

    /// The next message will have this position. Returns whether there was a gap.
    pub fn end(&mut self, position: u64) -> bool {
        if !std::mem::take(&mut self.is_open) {
            return false;
        }
        // two gaps without a message between them are one
        if self.ended.back().is_some_and(|last| last.position == position) {
            self.ended.pop_back();
        }
        self.ended.push_back(Gap { position, number: self.begun });
        true
    }

    /// The first one at this position or after it, for a reader that knows of the first `known`.
    pub fn next(&self, position: u64, known: u64) -> Option<Gap> {
        let from = self.ended.partition_point(|gap| gap.position < position || gap.number <= known);
        self.ended.get(from).copied()
    }

    /// The oldest message has this position now.
    pub fn drop_before(&mut self, first: u64) {
        while self.ended.get(1).is_some_and(|gap| gap.position < first) {
            self.ended.pop_front();
        }
    }
}
