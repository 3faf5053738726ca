//! Messages that the bridge itself publishes: requests, which report when they are written, and presence.

use std::time::Duration;

use super::Publisher;
use crate::memory::Share;
use crate::message::Message;
use crate::mqtt::session::in_flight::{Caller, OnWritten};
use crate::mqtt::session::lifecycle::Lifecycle;

impl Publisher {
    /// As [`Publisher::publish`], with a second callback for when the message is written.
    pub(in crate::mqtt) fn publish_and_report(
        &self,
        (message, share): (Message, Share),
        timeout: Duration,
        on_written: OnWritten,
        caller: Caller,
    ) {
        self.accept([(message, Some(share), Some(on_written), caller.into())], timeout, Lifecycle::Running);
    }

    /// As [`Publisher::publish`], but however many messages wait, and only in this phase: while running, or in a stop
    /// before its DISCONNECT, after all other messages.
    pub(in crate::mqtt) fn publish_own(&self, message: Message, timeout: Duration, phase: Lifecycle, caller: Caller) {
        self.accept([(message, None, None, caller.into())], timeout, phase);
    }
}
