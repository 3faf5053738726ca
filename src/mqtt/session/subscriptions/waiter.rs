//! Somebody who wants a topic filter and waits for the broker's answer.

use std::time::Instant;

use super::want::Want;

/// Somebody who is told when the broker has answered.
pub struct Waiter<R> {
    pub want: Want,
    pub deadline: Instant,
    /// A reader begins without the broker if there is no connection by then.
    pub begins: Option<Instant>,
    pub told: R,
    /// The broker was asked since it waits, on this connection.
    pub asked: bool,
    /// The same for any connection.
    pub ever_asked: bool,
}

impl<R> Waiter<R> {
    /// Whether a reader begins now although the broker has not answered. One whose question a connection was lost over
    /// waits for another answer first, as long as there is time.
    pub fn begins(&self, now: Instant, is_connected: bool) -> bool {
        let Some(begins) = self.begins else { return false };
        let is_away = !is_connected && (!self.ever_asked || self.deadline <= now);
        (is_away && begins <= now) || (self.deadline <= now && !self.ever_asked)
    }
}
