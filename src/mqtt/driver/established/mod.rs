//! One connection from its CONNACK to its end.

mod attribution;
mod ending;
mod liveness;
mod stages;

use std::time::{Duration, Instant};

pub use self::attribution::{blame, breach};

use self::liveness::Liveness;
use self::stages::Stage;
use crate::mqtt::client::{Connection, Event, Lost};
use crate::mqtt::inbound::Inbound;
use crate::mqtt::presence::Presence;
use crate::mqtt::protocol::{Acknowledgement, Window};
use crate::mqtt::publisher::Publisher;
use crate::mqtt::reason::Reason;
use crate::mqtt::session::in_flight::Violation;
use crate::mqtt::subscriber::Subscriber;

/// A connection while it lasts.
pub struct Established {
    publisher: Publisher,
    subscriber: Subscriber,
    presence: Presence,
    pub connection: Connection,
    inbound: Inbound,
    /// How long each topic filter is on probation.
    probation: Option<Duration>,
    stage: Stage,
    /// What the publisher was last told of.
    window: Window,
    last_event: Instant,
    liveness: Liveness,
    /// When a PUBLISH, which brokers may close over, was last written.
    last_published: Option<Instant>,
    /// The session cannot be resumed.
    is_spoilt: bool,
    /// A DISCONNECT is on its way, as another connection is to follow.
    is_leaving: bool,
}

impl Established {
    pub fn new(
        publisher: &Publisher,
        subscriber: &Subscriber,
        presence: &Presence,
        connection: Connection,
        inbound: Inbound,
        probation: Option<Duration>,
    ) -> Self {
        let (now, window) = (Instant::now(), connection.window());
        Self {
            publisher: publisher.clone(),
            subscriber: subscriber.clone(),
            presence: presence.clone(),
            connection,
            inbound,
            probation,
            stage: Stage::Resuming,
            window,
            last_event: now,
            liveness: Liveness::new(now),
            last_published: None,
            is_spoilt: false,
            is_leaving: false,
        }
    }

    /// Returns when we ended the connection; the error is its loss.
    fn run(&mut self, release: bool) -> Result<(), Lost> {
        if self.publisher.give_up_retransmissions(self.connection.connack.limits) {
            self.is_spoilt = true;
            return Err(Lost::new("the broker no longer takes what the session owes: it is left"));
        }
        self.publisher.awaits("acknowledge what an earlier connection had sent");
        if release {
            self.release();
        }
        self.proceed()?;
        let mut now = Instant::now();
        loop {
            let timeout = self.check_liveness(now)?;
            self.publisher.announce(now, timeout);
            if let Some(event) = self.connection.next(timeout)? {
                if self.take_all(event)? {
                    return self.disconnected();
                }
                now = Instant::now();
                self.last_event = now;
                self.update_liveness(now);
                self.publisher.send_acknowledgements();
                self.proceed()?;
            } else {
                now = Instant::now();
                // it may have been interrupted while it wrote a packet
                if self.publisher.interrupt() {
                    self.connection.nudge();
                }
                self.update_liveness(now);
            }
        }
    }

    /// Takes an event and all that were read with it. Returns true at a DISCONNECT.
    fn take_all(&mut self, event: Event) -> Result<bool, Lost> {
        let mut next = Some(event);
        while let Some(event) = next {
            self.liveness.heard(&event);
            if event == Event::Disconnected {
                return Ok(true);
            }
            self.take(event)?;
            next = self.connection.buffered();
        }
        Ok(false)
    }

    fn take(&mut self, event: Event) -> Result<(), Lost> {
        match event {
            Event::PublishWritten(packet_identifier) => {
                self.last_published = Some(Instant::now());
                self.publisher.written(packet_identifier, true).map_err(violated)?;
            }
            Event::Acknowledged(Acknowledgement::PubComp, packet_identifier, ..)
                if self.released(packet_identifier) => {}
            Event::Acknowledged(kind, packet_identifier, code, words) => {
                log_acknowledgement(packet_identifier, code, words.as_deref());
                self.publisher.acknowledged(kind, packet_identifier, code, words).map_err(violated)?;
            }
            Event::SubscribeWritten(packet_identifier) => self.subscriber.written(packet_identifier),
            Event::Subscribed(packet_identifier, answers, words) => {
                let reports = self.subscriber.subscribed(packet_identifier, &answers);
                // before the record, whose reader may publish at once
                self.proceed()?;
                self.subscriber.log(&reports, words.as_deref());
            }
            Event::Unsubscribed(packet_identifier, failure) => self.subscriber.unsubscribed(packet_identifier, failure),
            Event::Received(message, packet_identifier) => self.inbound.take(&message, packet_identifier),
            Event::Released(packet_identifier) => _ = self.inbound.unreleased.remove(&packet_identifier),
            Event::Violation(what) => return Err(Lost::new(what)),
            Event::Connected(_) => return Err(Lost::new("the broker sent a second CONNACK")),
            Event::Disconnected | Event::Probed | Event::Alive | Event::Other => {}
        }
        Ok(())
    }
}

fn violated(violation: Violation) -> Lost {
    Lost::new(violation.to_string())
}

/// Records the reason string of an acknowledgement.
fn log_acknowledgement(packet_identifier: u16, code: Option<u8>, words: Option<&str>) {
    if let Some(words) = words {
        let code = code.unwrap_or_default();
        log::debug!(
            REASON_CODE = code;
            "the broker says of packet identifier {packet_identifier}: {}: {words}", Reason(code)
        );
    }
}
