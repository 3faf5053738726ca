//! What readers of a topic filter cannot have got, as there was no connection.

use super::Entry;

impl<R> Entry<R> {
    /// Whether a session that is kept holds what comes while we are away: brokers hold nothing at QoS 0.
    pub fn is_queued(&self) -> bool {
        self.may_be_kept && self.last.is_some_and(|(_, granted)| granted > 0)
    }

    /// What came since the last connection is lost; readers are told when messages come again.
    pub fn begin_gap(&self) {
        self.channel.iter().for_each(|channel| channel.begin_gap());
    }

    pub(super) fn end_gap(&self) {
        self.channel.iter().for_each(|channel| channel.end_gap());
    }
}
