//! What readers learn in addition to messages: that none come for now, that some may be missing, and the end.

use super::buffer::TopicBuffer;
use crate::mqtt::outcome::Refusal;

impl TopicBuffer {
    /// Tells every reader that no messages come for now, and why.
    pub fn refuse(&self, refusal: Refusal) {
        let mut ring = self.lock();
        ring.refusals += 1;
        ring.refusal = Some(refusal);
        drop(ring);
        self.changed.notify_all();
    }

    /// From now on messages may be missing, for the readers that are there.
    pub fn begin_gap(&self) {
        self.lock().gaps.begin();
    }

    /// From now on none are missing.
    pub fn end_gap(&self) {
        let mut ring = self.lock();
        let end = ring.end();
        let is_news = ring.gaps.end(end);
        drop(ring);
        if is_news {
            self.changed.notify_all();
        }
    }

    /// Lets every reader end.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}
