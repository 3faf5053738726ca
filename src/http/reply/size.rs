//! The size of a reply, by which it gets its memory and its thread.

use super::Reply;
use super::body::Content;

/// The size up to which a document is short, in bytes.
const SHORT: usize = 4096;
/// An upper bound for the result of one of many messages, in bytes.
const RESULT: usize = 512;

impl Reply {
    /// Whether its body is cheap to make.
    pub fn is_short(&self) -> bool {
        match &self.content {
            Content::Status => true,
            Content::Results(_) => false,
            Content::Document { bytes, .. } => bytes.len() <= SHORT,
        }
    }

    /// The memory for a reply with `count` results and for its body, in bytes.
    pub fn room_for_results(count: usize) -> usize {
        2 * RESULT * count
    }

    /// The approximate size of its body, in bytes.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Status => 0,
            Content::Results(outcomes) => RESULT * outcomes.len(),
            Content::Document { bytes, .. } => bytes.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_documents_and_results_are_not_short() {
        assert!(Reply::success().is_short() && Reply::busy().is_short());
        assert!(Reply::document("text/plain", vec![b' '; SHORT]).is_short());
        assert!(!Reply::document("text/plain", vec![b' '; SHORT + 1]).is_short());
        assert!(!Reply::results(Vec::new()).is_short(), "there may be a thousand results");
    }
}
