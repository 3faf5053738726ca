//! The thread that drives the connection: connects, subscribes, hands on what comes in, and connects again.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::publisher::Publisher;
use super::v5::{self, Lost};
use super::{Event, subscriptions};
use crate::config::{Config, Mqtt, Subscription};
use crate::journal;

/// A connection that held this long is stable: the next pause is the shortest again. A shorter one may have been
/// ended by what we sent or by another client of our name, and must not be renewed at full speed.
const STABLE: Duration = Duration::from_secs(10);

/// Everything that the thread needs.
pub struct Driver {
    mqtt: Mqtt,
    subscriptions: Vec<Subscription>,
    publisher: Publisher,
}

impl Driver {
    pub fn new(config: &Config, publisher: Publisher) -> Self {
        Self { mqtt: config.mqtt.clone(), subscriptions: config.subscribe.clone(), publisher }
    }

    /// Returns when the daemon is to stop.
    pub fn run(self) {
        let mut backoff = Backoff::new(self.mqtt.reconnect_max);
        let mut failures = Failures::default();
        while !self.publisher.is_stopping() {
            let lost = self.one_connection(&mut backoff, &mut failures);
            self.publisher.disconnected();
            match lost {
                None => break,
                Some(lost) if self.publisher.is_stopping() => {
                    log::warn!("connection to {} lost while stopping: {lost}", self.mqtt.address());
                }
                Some(lost) => log::warn!("connection to {} lost: {lost}; connecting again", self.mqtt.address()),
            }
            if self.publisher.pause(backoff.pause()) {
                break;
            }
        }
    }

    /// Connects, however often it takes, and drives the connection to its end: `None` if we ended it.
    ///
    /// Each connection has a client of its own: one that was connected keeps packet identifiers and requests of a
    /// session that the broker no longer has (bytebeamio/rumqtt#1014, #1056).
    fn one_connection(&self, backoff: &mut Backoff, failures: &mut Failures) -> Option<Lost> {
        let (sender, mut pipe) = v5::open(&self.mqtt);
        let limits = loop {
            match pipe.next() {
                Ok(Event::Connected(limits)) => break limits,
                Ok(_) => {}
                Err(lost) => {
                    failures.report(&self.mqtt.address(), &lost);
                    if self.publisher.pause(backoff.pause()) {
                        return None;
                    }
                }
            }
        };
        failures.forget();
        if let Err(lost) = sender.subscribe(&self.subscriptions) {
            return Some(lost);
        }
        // only now: whoever publishes sees what comes back on the topics of the file
        self.publisher.connected(sender, limits);
        log::info!("connected to {}", self.mqtt.address());
        let since = Instant::now();
        let lost = self.serve(&mut pipe);
        if since.elapsed() >= STABLE {
            backoff.reset();
        }
        lost
    }

    fn serve(&self, pipe: &mut v5::Pipe) -> Option<Lost> {
        loop {
            match pipe.next() {
                Ok(Event::Received(message)) => journal::received(&message.topic, &message.payload),
                Ok(Event::Subscribed(answers)) => subscriptions::report(&self.subscriptions, &answers),
                Ok(Event::Disconnected) => {
                    log::info!("disconnected from {}", self.mqtt.address());
                    return None;
                }
                Ok(Event::Connected(_) | Event::Other) => {}
                Err(lost) => return Some(lost),
            }
        }
    }
}

/// Tells of a failure to connect when it is another one than before, not at every try.
#[derive(Default)]
struct Failures {
    told: Option<String>,
}

impl Failures {
    fn report(&mut self, address: &str, lost: &Lost) {
        let words = lost.to_string();
        if self.told.as_ref() != Some(&words) {
            log::warn!("cannot connect to {address}: {words}; trying again");
            self.told = Some(words);
        }
    }

    fn forget(&mut self) {
        self.told = None;
    }
}
