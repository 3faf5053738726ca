//! Received messages of a webhook: into its inbox, whose readers acknowledge them.

use std::sync::Arc;

use super::Inbound;
use super::inbox::Inbox;
use crate::message::Received;
use crate::mqtt::session::deliveries::{Full, Owed};

impl Inbound {
    /// Why the connection is ended to get messages again that found no room.
    pub fn regained(&self) -> &'static str {
        match self.inbox {
            None => "the journal takes messages again, and those that it did not take are asked for",
            Some(_) => "all that had come is delivered, and messages that found no room are asked for",
        }
    }

    /// Puts a message into the inbox. Never waits.
    pub(super) fn consume(&mut self, inbox: &Inbox, message: &Arc<Received>, packet_identifier: u16) {
        let qos = message.qos;
        let owed = (qos > 0).then_some(Owed { connection: self.connection, packet_identifier, qos });
        // what is left unacknowledged comes again, in its order: on another connection, or to the next process
        if owed.is_some() && (self.is_starved || self.publisher.is_stopping()) {
            return;
        }
        match inbox.put(message, owed) {
            Ok(()) => {}
            Err(Full) if owed.is_none() => inbox.drop_message(),
            Err(Full) => {
                log::debug!(
                    "messages wait for a webhook: the broker is asked for further ones when they are delivered"
                );
                self.is_starved = true;
            }
        }
    }
}
