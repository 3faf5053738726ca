//! How long an answer is.

use super::{Form, Reply};

/// Bytes of a document up to which it is short.
const SHORT: usize = 4096;
/// Bytes that the result of one message of many takes in an answer, and while that is made.
const RESULT: usize = 512;

impl Reply {
    /// Whether making its body takes next to no time.
    pub fn is_short(&self) -> bool {
        matches!(&self.form, Form::Usual) || matches!(&self.form, Form::Document { bytes, .. } if bytes.len() <= SHORT)
    }

    /// What an answer with so many results takes, once as it is and once as it is written.
    pub fn room_for_results(count: usize) -> usize {
        2 * RESULT * count
    }

    /// How long its body is, in bytes, near enough.
    pub fn size(&self) -> usize {
        match &self.form {
            Form::Usual => 0,
            Form::Results(outcomes) => RESULT * outcomes.len(),
            Form::Document { bytes, .. } => bytes.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::JSON;
    use super::*;

    #[test]
    fn what_takes_long_to_write_is_not_short() {
        assert!(Reply::success().is_short() && Reply::busy().is_short());
        assert!(Reply::document(JSON, vec![b' '; SHORT]).is_short());
        assert!(!Reply::document(JSON, vec![b' '; SHORT + 1]).is_short());
        assert!(!Reply::results(Vec::new()).is_short(), "there may be a thousand of them");
    }
}
