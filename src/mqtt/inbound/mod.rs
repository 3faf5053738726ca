//! Received messages: into the journal and to subscribers, or into the inbox of a webhook, and acknowledged after that.

mod consuming;
mod inbox;

use std::collections::HashSet;
use std::sync::Arc;

pub use self::inbox::{Backlog, Delivery, Inbox};

use super::publisher::Publisher;
use super::session::subscriptions::log_stray;
use super::subscriber::Subscriber;
use crate::journal::{self, Done, Full};
use crate::message::{Priority, Received};
use crate::metrics;

/// The packet identifiers of messages at QoS 2 that were taken, and that the broker may send again until their PUBREL
/// (MQTT 5, 4.3.3).
pub type Unreleased = HashSet<u16>;

/// Takes the messages of one connection.
pub struct Inbound {
    publisher: Publisher,
    subscriber: Subscriber,
    /// The number of the connection. An acknowledgement on another one could be taken for that of a later message with
    /// the same packet identifier.
    connection: u64,
    /// The broker delivers again what is unacknowledged when the connection ends.
    is_kept: bool,
    /// At first those of the session that is resumed.
    pub unreleased: Unreleased,
    /// A message found no room in the journal or the inbox, and was left unacknowledged. So are all that follow it, and
    /// all of them come again in their order, on another connection.
    pub is_starved: bool,
    /// Takes the messages in place of the journal and of subscribers: they are delivered elsewhere.
    inbox: Option<Inbox>,
}

impl Inbound {
    pub fn new(
        publisher: Publisher,
        subscriber: Subscriber,
        connection: u64,
        is_kept: bool,
        unreleased: Unreleased,
        inbox: Option<Inbox>,
    ) -> Self {
        Self { publisher, subscriber, connection, is_kept, unreleased, is_starved: false, inbox }
    }

    /// Has a message recorded, and passes it to its subscribers. At QoS 1 and 2 it is acknowledged when it is recorded.
    /// Never waits.
    pub fn take(&mut self, message: &Arc<Received>, packet_identifier: u16) {
        if let Some(inbox) = self.inbox.clone() {
            return self.consume(&inbox, message, packet_identifier);
        }
        metrics::METRICS.received.inc();
        if message.qos == 2 && self.unreleased.contains(&packet_identifier) {
            // a repetition, with DUP or without: it is acknowledged again, but not before the first one is recorded
            self.record_surely(message, None, packet_identifier);
            return;
        }
        let route = self.subscriber.route(message);
        if let Some(stray) = route.stray {
            log_stray(stray, &message.topic);
        }
        let is_taken = match message.qos {
            0 => {
                if route.journal.is_some() && journal::received(message, route.journal, None).is_err() {
                    journal::dropped();
                }
                true
            }
            // at a stop it is left to the next process: the stop must end although messages go on coming
            _ if self.is_starved || (self.is_kept && self.publisher.is_stopping()) => false,
            _ => self.record_surely(message, route.journal, packet_identifier),
        };
        // otherwise it comes again
        if is_taken {
            if message.qos == 2 {
                self.unreleased.insert(packet_identifier);
            }
            self.subscriber.deliver(route, message);
        }
    }

    /// Whether all that was taken is recorded, or delivered.
    pub fn is_settled(&self) -> bool {
        self.inbox.as_ref().map_or_else(journal::is_settled, Inbox::is_settled)
    }

    /// Acknowledges a message when it is recorded; one without a priority, which is not recorded, after all that came
    /// before (MQTT 5, 4.6.0-2). Returns whether it was taken.
    fn record_surely(&mut self, message: &Arc<Received>, priority: Option<Priority>, packet_identifier: u16) -> bool {
        let (publisher, connection, qos) = (self.publisher.clone(), self.connection, message.qos);
        let acknowledge = move || _ = publisher.acknowledge(connection, packet_identifier, qos);
        if priority.is_none() && journal::is_settled() {
            acknowledge();
            return true;
        }
        let done = Done::new(self.is_kept, acknowledge.clone());
        match journal::received(message, priority, Some(done)) {
            Ok(()) => true,
            Err(Full) if self.is_kept => {
                log::warn!("the journal is full: the broker is asked for further messages again when it is not");
                self.is_starved = true;
                false
            }
            // the broker would not deliver it again, and an unacknowledged message takes a slot of its window for good
            Err(Full) => {
                if priority.is_some() {
                    journal::dropped();
                }
                acknowledge();
                true
            }
        }
    }
}
