//! A connection of its own, with a kept session, whose messages are delivered elsewhere.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::inbound::Inbox;
use crate::config::Config;
use crate::message::{Message, TopicFilter};
use crate::mqtt::driver::Driver;
use crate::mqtt::outcome::{Failure, Outcome};
use crate::mqtt::presence::Presence;
use crate::mqtt::publisher::Publisher;
use crate::mqtt::session::clock::Clock;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::mqtt::status::Status;
use crate::mqtt::subscriber::Subscriber;
use crate::thread::Watch;

/// The connection.
#[derive(Debug, Clone)]
pub struct Consumer {
    publisher: Publisher,
    subscriber: Subscriber,
    /// What it received.
    pub inbox: Inbox,
}

impl Consumer {
    /// Connects with a configuration that is made for this connection, subscribes to a topic filter, and stays
    /// connected until [`Self::end`]. Unacknowledged messages take up to `max_bytes`, or a single larger one
    /// does. `number` tells its threads apart.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(
        config: &Config,
        (filter, max_bytes): (TopicFilter, usize),
        number: usize,
        watch: &Watch,
    ) -> io::Result<Self> {
        let clock = Arc::new(Clock::default());
        let publisher = Publisher::new(config, clock.clone());
        let subscriber = Subscriber::new(config, publisher.clone(), clock.clone());
        let presence = Presence::new(config, publisher.clone());
        let inbox = Inbox::new(publisher.clone(), filter, max_bytes);
        let driver = Driver::new(config, publisher.clone(), subscriber.clone(), presence).consuming(inbox.clone());
        driver.spawn(clock, &format!("-{number}"), watch)?;
        Ok(Self { publisher, subscriber, inbox })
    }

    /// Publishes a message, and waits for the outcome.
    ///
    /// # Errors
    /// Why the broker may not have it.
    pub fn publish(&self, message: Message, timeout: Duration) -> Outcome {
        let (sender, outcome) = sync_channel(1);
        let caller = Box::new(move |outcome| _ = sender.try_send(outcome));
        self.publisher.publish_own(message, timeout, Lifecycle::Running, caller);
        // the clock thread settles it at the timeout
        outcome.recv().unwrap_or(Err(Failure::Unknown))
    }

    /// The state of the connection and of its subscription.
    #[must_use]
    pub fn status(&self) -> Status {
        self.subscriber.status()
    }

    /// For how long its MQTT thread has been overdue, if it hangs.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        self.publisher.overdue()
    }

    /// At a stop: messages that come from now on are left to the next process.
    pub fn stop_accepting(&self) {
        self.publisher.stop_accepting();
        self.subscriber.stop_accepting();
        self.inbox.stop();
    }

    /// Settles publishes that are under way, until the deadline.
    pub fn drain(&self, deadline: Instant) {
        self.publisher.drain(deadline);
        self.subscriber.drain(deadline);
    }

    /// Lets the connection end with a DISCONNECT. Returns false if there is none.
    #[must_use]
    pub fn disconnect(&self) -> bool {
        self.publisher.disconnect()
    }

    /// Ends the threads, if [`Self::disconnect`] has not.
    pub fn end(&self) {
        self.publisher.end();
    }
}
