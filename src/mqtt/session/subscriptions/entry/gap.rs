//! What readers of a topic filter get besides its messages: that messages may be missing, or that none come.

use super::Entry;
use crate::mqtt::outcome::Refusal;

impl Entry {
    /// Whether a kept session holds messages while the bridge is away: brokers hold none at QoS 0.
    pub fn is_queued(&self) -> bool {
        self.may_be_kept && self.last_grant.is_some_and(|(_, granted)| granted > 0)
    }

    pub(super) fn end_gap(&self) {
        self.buffer.iter().for_each(|buffer| buffer.end_gap());
    }

    /// Tells readers that no messages come for now.
    pub(super) fn refuse_readers(&self, refusal: Refusal) {
        if let Some(buffer) = self.buffer.as_ref().filter(|_| self.readers > 0) {
            buffer.refuse(refusal);
        }
    }
}
