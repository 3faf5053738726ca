//! Messages from the broker: into the journal, and acknowledged when they are written there.

use super::publisher::Publisher;
use crate::config::Subscription;
use crate::journal::{self, Full, Received};
use crate::message::{Priority, TopicName};

/// What takes the messages of one connection.
pub struct Intake {
    publisher: Publisher,
    subscriptions: Vec<Subscription>,
    /// The number of the connection: an acknowledgement on another one could settle a message that took over the packet
    /// identifier.
    connection: u64,
    /// The broker delivers again what is unacknowledged when the connection ends.
    is_kept: bool,
    /// A message found no room and was left unacknowledged; and so is whatever follows it, so that all of them come
    /// again in their order.
    starved: bool,
}

impl Intake {
    pub fn new(publisher: Publisher, subscriptions: Vec<Subscription>, connection: u64, is_kept: bool) -> Self {
        Self { publisher, subscriptions, connection, is_kept, starved: false }
    }

    /// Has a message recorded; at QoS 1 and 2 it is acknowledged when that is done. Never waits.
    pub fn take(&mut self, mut message: Received, packet_identifier: u16) {
        message.priority = self.priority(&message.topic);
        let qos = message.qos;
        if qos == 0 {
            if journal::received(message, None).is_err() {
                journal::dropped();
            }
            return;
        }
        // at a stop what comes still is left for the next run: it would never end where messages come all the time
        if self.starved || (self.is_kept && self.publisher.is_stopping()) {
            return;
        }
        let (publisher, connection) = (self.publisher.clone(), self.connection);
        let acknowledge = move || publisher.acknowledge(connection, packet_identifier, qos);
        match journal::received(message, Some(Box::new(acknowledge.clone()))) {
            Ok(()) => {}
            Err(Full) if self.is_kept => {
                log::warn!("the journal is full: the broker is asked for further messages again when it is not");
                self.starved = true;
            }
            // nobody would deliver it again, and unacknowledged it would take up a place with the broker for good
            Err(Full) => {
                journal::dropped();
                acknowledge();
            }
        }
    }

    /// Whether messages were left that the broker delivers again on another connection.
    pub fn is_starved(&self) -> bool {
        self.starved
    }

    /// The first filter that matches says how urgent a message is.
    fn priority(&self, topic: &[u8]) -> Priority {
        let topic = String::from_utf8(topic.to_vec()).ok().and_then(|topic| TopicName::try_from(topic).ok());
        let matching = topic.and_then(|topic| self.subscriptions.iter().find(|wanted| wanted.topic.matches(&topic)));
        matching.map(|wanted| wanted.priority).unwrap_or_default()
    }
}
