//! What a connection is about, from its CONNACK to its end, and how much it takes at a time.

use std::collections::HashSet;
use std::time::Instant;

use super::Connection;
use crate::mqtt::client::connection::{Lost, PACKET_IDENTIFIERS, all_packet_identifiers};
use crate::mqtt::session::in_flight::{Owed, Window};

/// What a connection is about, one after the other.
pub enum Stage {
    /// The session of an earlier run may have packet identifiers in use for messages at QoS 2 that were never released:
    /// a new message with one of them would be taken for the old one, acknowledged, and lost. These are left.
    Releasing { left: HashSet<u16>, since: Instant },
    /// A resumed session sends again what it owes: its packet identifiers must be free before others are taken.
    Resuming,
    /// The answers to our first SUBSCRIBEs are awaited.
    Subscribing,
    /// Messages are handed over.
    Ready,
    /// The same, but the library must get back places in its window first.
    Recovering,
}

impl Connection<'_> {
    /// Sends a PUBREL for every packet identifier that we may come to use.
    pub(super) fn release(&mut self) {
        // all that an earlier run may have used, whatever this broker announces now
        let identifiers = 1..=PACKET_IDENTIFIERS;
        self.pipe.resend(identifiers.clone().map(Owed::PubRel).collect());
        self.stage = Stage::Releasing { left: identifiers.collect(), since: Instant::now() };
    }

    /// Whether this was the answer to one of those.
    pub(super) fn released(&mut self, packet_identifier: u16) -> bool {
        match &mut self.stage {
            Stage::Releasing { left, .. } => left.remove(&packet_identifier),
            _ => false,
        }
    }

    /// Has the library get back what it lost, and keep in mind what it forgets with that.
    fn recover(&mut self) {
        self.pipe.recover();
        if self.session_present {
            self.pipe.expect_releases(&mut all_packet_identifiers());
        } else {
            self.pipe.expect_releases(&mut self.intake.unreleased().iter().copied());
        }
    }

    /// Goes on to the next stage when the present one is over.
    pub(super) fn proceed(&mut self) -> Result<(), Lost> {
        let (publisher, subscriber) = (&self.driver.publisher, &self.driver.subscriber);
        match &self.stage {
            Stage::Releasing { left, .. } if left.is_empty() => {
                // most were not in use, which the library takes for a loss
                self.recover();
                self.stage = Stage::Resuming;
                return self.proceed();
            }
            Stage::Resuming if publisher.unacknowledged() > 0 => {
                self.pipe.resend(publisher.owed(self.window().size));
            }
            Stage::Resuming => {
                let probation = self.driver.breaches.probation();
                subscriber.connected(self.session_present, self.limits, probation);
                self.stage = Stage::Subscribing;
                publisher.awaits("answer our SUBSCRIBE");
                // what comes for a filter may end the connection: publishing goes first
                if probation.is_some() {
                    self.become_ready();
                }
                return self.proceed();
            }
            Stage::Subscribing if subscriber.is_settled() => self.become_ready(),
            // half of the window is left, or nothing of it
            Stage::Ready if self.pipe.leaked() * 2 > self.window().size => {
                publisher.hold_back(true);
                subscriber.set_open(false);
                self.stage = Stage::Recovering;
                return self.proceed();
            }
            Stage::Ready if self.pipe.leaked() > 0 => {
                publisher.ready(self.window_left());
                subscriber.feed();
            }
            // one may still lie in the library's queue, which cannot take it before this
            Stage::Recovering if publisher.unacknowledged() == 0 && subscriber.oldest_asked().is_none() => {
                self.recover();
                subscriber.set_open(true);
                self.stage = Stage::Ready;
                publisher.ready(self.window());
                publisher.hold_back(false);
            }
            Stage::Subscribing | Stage::Ready => subscriber.feed(),
            Stage::Releasing { .. } | Stage::Recovering => {}
        }
        Ok(())
    }

    fn become_ready(&mut self) {
        self.stage = Stage::Ready;
        self.driver.publisher.ready(self.window());
        self.driver.presence.connected();
    }

    /// What this broker takes at a time, and what the library gives it packet identifiers from.
    fn window(&self) -> Window {
        let announced = self.limits.receive_maximum.max(1);
        // one less than the broker allows, where that is possible: the library reads no DISCONNECT from a full window
        let size = announced.saturating_sub(1).clamp(1, self.driver.mqtt.max_inflight);
        Window { size, cycle: announced.min(PACKET_IDENTIFIERS) }
    }

    /// The same, less what the library has lost.
    fn window_left(&self) -> Window {
        let window = self.window();
        let left = self.limits.receive_maximum.min(PACKET_IDENTIFIERS).saturating_sub(self.pipe.leaked()).max(1);
        Window { size: window.size.min(left), ..window }
    }
}
