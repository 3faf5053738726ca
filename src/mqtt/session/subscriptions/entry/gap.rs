//! What readers of a topic filter are told beside its messages: that there may have been others, or that there are none.

use super::Entry;
use crate::mqtt::outcome::Refusal;

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

    /// Tells those who read already that nothing comes for now.
    pub(super) fn tell_readers(&self, refusal: Refusal) {
        if let Some(channel) = self.channel.as_ref().filter(|_| self.readers > 0) {
            channel.refuse(refusal);
        }
    }
}
