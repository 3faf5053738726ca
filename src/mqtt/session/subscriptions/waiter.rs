//! A caller that waits for the broker's answer for a topic filter.

use std::time::Instant;

use super::interest::Interest;
use crate::mqtt::outcome::Refusal;

/// What a caller gets: the granted QoS, 0 for an unsubscription, or why not.
pub type Answer = Result<u8, Refusal>;

/// Gets the broker's answer, once. Must not block.
pub type Caller = Box<dyn FnOnce(Answer) + Send>;

pub struct Waiter {
    pub interest: Interest,
    pub deadline: Instant,
    /// A reader begins without the broker if there is no connection at this time.
    pub begins: Option<Instant>,
    pub caller: Caller,
    /// An operation for it was sent on this connection.
    pub sent: bool,
    /// The same for any connection.
    pub ever_sent: bool,
}

impl Waiter {
    /// Whether a reader begins now although the broker has not answered. If a connection ended while its operation was
    /// unanswered, it waits for the next answer as long as there is time.
    pub fn begins(&self, now: Instant, is_connected: bool) -> bool {
        let Some(begins) = self.begins else { return false };
        let is_away = !is_connected && (!self.ever_sent || self.deadline <= now);
        (is_away && begins <= now) || (self.deadline <= now && !self.ever_sent)
    }
}
