//! Messages from the broker: into the journal and to whoever reads them, and acknowledged when they are recorded.

use std::collections::HashSet;
use std::sync::Arc;

use super::publisher::Publisher;
use super::subscriber::Subscriber;
use crate::journal::{self, Done, Full};
use crate::message::{Priority, Received};
use crate::metrics::{self, Stray};
use crate::printable::Printable;

/// How much of a topic name is shown, in bytes.
const SHOWN: usize = 256;

/// The packet identifiers of messages at QoS 2 that were taken, and that the broker may send again until their PUBREL
/// (MQTT 5, 4.3.3).
pub type Unreleased = HashSet<u16>;

/// What takes the messages of one connection.
pub struct Intake {
    publisher: Publisher,
    subscriber: Subscriber,
    /// The number of the connection: an acknowledgement on another one could settle a message that took over the packet
    /// identifier.
    connection: u64,
    /// The broker delivers again what is unacknowledged when the connection ends.
    is_kept: bool,
    unreleased: Unreleased,
    /// A message found no room and was left unacknowledged; and so is whatever follows it, so that all of them come
    /// again in their order.
    starved: bool,
}

impl Intake {
    /// Of the messages whose identifiers are `unreleased` the session owes no more than their end.
    pub fn new(
        publisher: Publisher,
        subscriber: Subscriber,
        connection: u64,
        is_kept: bool,
        unreleased: Unreleased,
    ) -> Self {
        Self { publisher, subscriber, connection, is_kept, unreleased, starved: false }
    }

    /// Has a message recorded and read by whoever it is for; at QoS 1 and 2 it is acknowledged when that is recorded.
    /// Never waits.
    pub fn take(&mut self, message: &Arc<Received>, packet_identifier: u16) {
        if message.qos == 2 && self.unreleased.contains(&packet_identifier) {
            // the same again, with DUP or without: it is acknowledged once more, not before the first is recorded
            self.record_surely(message, None, packet_identifier);
            return;
        }
        let route = self.subscriber.route(message);
        if let Some(stray) = route.stray {
            tell_stray(stray, &message.topic);
        }
        let is_taken = match message.qos {
            0 => {
                record(message, route.journal);
                true
            }
            // at a stop what comes still is left for the next run: it would never end where messages come all the time
            _ if self.starved || (self.is_kept && self.publisher.is_stopping()) => false,
            _ => self.record_surely(message, route.journal, packet_identifier),
        };
        // what is left comes again
        if is_taken {
            if message.qos == 2 {
                self.unreleased.insert(packet_identifier);
            }
            self.subscriber.deliver(route, message);
        }
    }

    /// Acknowledges it when it is recorded, and behind all that came before if it is not meant for the journal (MQTT 5,
    /// 4.6.0-2). Returns whether it was taken at all.
    fn record_surely(&mut self, message: &Arc<Received>, priority: Option<Priority>, packet_identifier: u16) -> bool {
        let (publisher, connection, qos) = (self.publisher.clone(), self.connection, message.qos);
        let acknowledge = move || publisher.acknowledge(connection, packet_identifier, qos);
        let done = Done::new(self.is_kept, acknowledge.clone());
        let recorded = match priority {
            Some(priority) => journal::received(message.clone(), priority, Some(done)),
            None if journal::is_settled() => {
                acknowledge();
                return true;
            }
            None => journal::after_all(done),
        };
        match recorded {
            Ok(()) => true,
            Err(Full) if self.is_kept => {
                log::warn!("the journal is full: the broker is asked for further messages again when it is not");
                self.starved = true;
                false
            }
            // nobody would deliver it again, and unacknowledged it would take up a place with the broker for good
            Err(Full) => {
                if priority.is_some() {
                    journal::dropped();
                }
                acknowledge();
                true
            }
        }
    }

    /// The packet identifier is free for another message.
    pub fn released(&mut self, packet_identifier: u16) {
        self.unreleased.remove(&packet_identifier);
    }

    /// Those that are not.
    pub fn unreleased(&self) -> &Unreleased {
        &self.unreleased
    }

    /// What the next connection is to know if it resumes the session.
    pub fn end(&mut self) -> Unreleased {
        std::mem::take(&mut self.unreleased)
    }

    /// Whether messages were left that the broker delivers again on another connection.
    pub fn is_starved(&self) -> bool {
        self.starved
    }
}

/// Told once of each kind, and counted.
fn tell_stray(stray: Stray, topic: &[u8]) {
    if metrics::dropped_stray(stray) {
        let why = match stray {
            Stray::WildcardTopic => "which is no topic name, as it has a wildcard in it",
            Stray::UnaskedTopic => "which no topic filter of ours matches",
            Stray::UnknownSubscription | Stray::UnknownPacket => "for a subscription that we do not have",
        };
        let topic = Printable::new(topic, SHOWN);
        log::warn!("the broker sent a message on {topic}, {why}: it is dropped, and others like it are counted alone");
    }
}

fn record(message: &Arc<Received>, priority: Option<Priority>) {
    if priority.is_some_and(|priority| journal::received(message.clone(), priority, None).is_err()) {
        journal::dropped();
    }
}
