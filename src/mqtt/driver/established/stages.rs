//! The stages of a connection from its CONNACK on: it resumes the session, subscribes, and takes messages.

use std::collections::HashSet;
use std::time::Instant;

use super::Established;
use crate::mqtt::client::Lost;
use crate::mqtt::protocol::{PACKET_IDENTIFIERS, Retransmission};

/// The state of a connection.
pub enum Stage {
    /// The session of an earlier process may still use packet identifiers for messages at QoS 2 that were not released:
    /// the broker would take a new message with one of these for the old one, acknowledge it, and not deliver it. Each
    /// of our packet identifiers is released; `left` are those without a PUBCOMP.
    Releasing { left: HashSet<u16>, since: Instant },
    /// What the session owes is sent again: its packet identifiers must be free before they are used for anything else.
    Resuming,
    /// The first SUBSCRIBEs are not all answered.
    Subscribing,
    /// Messages are handed over.
    Ready,
    /// Nothing is handed over until everything is acknowledged and the window of the connection is restored.
    Recovering,
}

impl Established {
    /// Sends a PUBREL for every packet identifier that an earlier process may have used.
    pub(super) fn release(&mut self) {
        let identifiers = 1..=PACKET_IDENTIFIERS;
        self.connection.resend(identifiers.clone().map(Retransmission::PubRel).collect());
        self.stage = Stage::Releasing { left: identifiers.collect(), since: Instant::now() };
    }

    /// Whether a PUBCOMP with this packet identifier answers one of these PUBRELs.
    pub(super) fn released(&mut self, packet_identifier: u16) -> bool {
        match &mut self.stage {
            Stage::Releasing { left, .. } => left.remove(&packet_identifier),
            _ => false,
        }
    }

    pub(super) fn is_releasing(&self) -> bool {
        matches!(self.stage, Stage::Releasing { .. })
    }

    /// Goes on to the next stage when the present one is over.
    pub(super) fn proceed(&mut self) -> Result<(), Lost> {
        match &self.stage {
            Stage::Releasing { left, .. } if left.is_empty() => {
                // most were not in use, and each of these cost a slot of the window
                self.connection.recover(&self.inbound.unreleased);
                self.stage = Stage::Resuming;
                return self.proceed();
            }
            Stage::Resuming if self.publisher.unacknowledged() > 0 => {
                let Some(owed) = self.publisher.retransmissions(self.connection.window().size) else {
                    self.is_spoilt = true;
                    return Err(Lost::new("the session owes a message of the outbox whose time is over: it is left"));
                };
                self.connection.resend(owed);
                // what is past its deadline was forgotten
                if self.publisher.unacknowledged() == 0 {
                    return self.proceed();
                }
            }
            Stage::Resuming => {
                let connack = &self.connection.connack;
                self.subscriber.connected(connack.session_present, connack.limits, self.probation);
                self.stage = Stage::Subscribing;
                self.publisher.awaits("answer our SUBSCRIBE");
                // what comes for a topic filter may end the connection: messages go first
                if self.probation.is_some() {
                    self.become_ready();
                }
                return self.proceed();
            }
            Stage::Subscribing if self.subscriber.is_settled() => self.become_ready(),
            Stage::Ready if self.connection.needs_recovery() => {
                self.publisher.hold_back();
                self.subscriber.set_open(false);
                self.stage = Stage::Recovering;
                return self.proceed();
            }
            // one of these may still be in the queue of the connection, which may not take it before
            Stage::Recovering
                if self.publisher.unacknowledged() == 0 && self.subscriber.oldest_unanswered().is_none() =>
            {
                self.connection.recover(&self.inbound.unreleased);
                self.subscriber.set_open(true);
                self.stage = Stage::Ready;
                self.update_window();
            }
            Stage::Ready if self.connection.window() != self.window => {
                self.update_window();
                self.subscriber.dispatch();
            }
            Stage::Subscribing | Stage::Ready => self.subscriber.dispatch(),
            Stage::Releasing { .. } | Stage::Recovering => {}
        }
        Ok(())
    }

    fn become_ready(&mut self) {
        self.stage = Stage::Ready;
        self.update_window();
        self.presence.connected();
    }

    fn update_window(&mut self) {
        self.window = self.connection.window();
        self.publisher.ready(self.window);
    }
}
