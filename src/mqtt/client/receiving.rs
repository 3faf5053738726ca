//! The receiving half of a connection, and what both versions of MQTT have in common there.

use std::collections::HashSet;
use std::time::Duration;

use super::connection::{Event, Sender};
use super::lost::{Cause, Lost};
use super::slots::Slots;
use super::traffic::{Passed, Traffic};
use super::version::Rumqttc;
use super::{transport, v4, v5};
use crate::config::{Mqtt, Protocol, Session};
use crate::mqtt::protocol::{Acknowledgement, Connack, Retransmission, Window};

/// The receiving half of a connection. It reads and writes only while [`Connection::next`] runs.
pub struct Connection {
    /// What the broker answered to our CONNECT.
    pub connack: Connack,
    rumqttc: Box<dyn Rumqttc>,
    slots: Slots,
    traffic: Traffic,
}

/// How long [`connect`] may take.
pub fn connect_timeout(mqtt: &Mqtt) -> Duration {
    // rumqttc's own limit is half of it; this one is for the case that it hangs
    2 * transport::connect_timeout(mqtt)
}

/// Connects, and waits for the CONNACK.
pub fn connect(mqtt: &Mqtt, session: Session) -> Result<(Box<dyn Sender>, Connection), Lost> {
    let (sender, mut rumqttc) = match mqtt.protocol {
        Protocol::V311 => v4::open(mqtt, session),
        Protocol::V5 => v5::open(mqtt, session),
    };
    let connack = match rumqttc.receive(connect_timeout(mqtt), false)? {
        Some(Event::Connected(connack)) => connack,
        Some(Event::Violation(what)) => return Err(Lost::new(what)),
        Some(_) => return Err(Lost::not_a_connack()),
        None => return Err(Lost::because(Cause::NoConnack, transport::silence(mqtt))),
    };
    let slots = Slots::new(connack.limits, mqtt.max_inflight);
    let mut connection = Connection { connack, rumqttc, slots, traffic: Traffic::to(&mqtt.server) };
    connection.expect_releases(&HashSet::new());
    Ok((sender, connection))
}

impl Connection {
    /// Waits for the next event; `None` at the timeout. After an error only [`Self::buffered`] is of use.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Lost> {
        if let Some(silent) = self.traffic.silence() {
            return Err(silent);
        }
        let event = self.rumqttc.receive(timeout, true)?;
        Ok(event.inspect(|event| self.note(event)))
    }

    /// An event that was read together with the one before, or that was pending when the connection ended: then the
    /// packet of an [`Event::PublishWritten`] may not have been sent. Never waits.
    pub fn buffered(&mut self) -> Option<Event> {
        let event = self.rumqttc.buffered();
        event.inspect(|event| self.note(event))
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Probed => self.traffic.pinged(self.connack.terms.keepalive),
            Event::Alive => self.traffic.answered(),
            // the broker may send it again
            Event::Released(packet_identifier) => self.rumqttc.expect_release(*packet_identifier),
            // rumqttc counts a publish at QoS 2 that ends so as unacknowledged for good (bytebeamio/rumqtt#1060)
            Event::Acknowledged(Acknowledgement::PubRec | Acknowledgement::PubComp, _, Some(0x80..), _) => {
                self.slots.leak();
            }
            _ => {}
        }
    }

    /// Sends again what the session owes, before anything that is handed over.
    pub fn resend(&mut self, owed: Vec<Retransmission>) {
        for owed in owed {
            self.rumqttc.resend(owed);
        }
    }

    /// Sends a PINGREQ. To be called after [`Self::next`] returned `None` while it may have been writing a packet: the
    /// rest of that packet is written before the PINGREQ.
    pub fn nudge(&mut self) {
        self.rumqttc.ping();
    }

    /// What has passed since the last call, parts of packets included.
    pub fn passed(&mut self) -> Passed {
        self.traffic.passed()
    }

    /// What the connection takes at a time, less what it has lost until [`Self::recover`].
    pub fn window(&self) -> Window {
        self.slots.window()
    }

    /// Whether so much of the window is lost that [`Self::recover`] is due.
    pub fn needs_recovery(&self) -> bool {
        self.slots.needs_recovery()
    }

    /// Restores the window. Only to be called while nothing that was sent is unacknowledged. `unreleased` are the
    /// packet identifiers of received messages at QoS 2 whose PUBREL has not come.
    pub fn recover(&mut self, unreleased: &HashSet<u16>) {
        self.rumqttc.clean();
        self.slots.recovered();
        self.expect_releases(unreleased);
    }

    /// Expects a PUBREL for each of these, and for any packet identifier where the broker kept a session: it may owe
    /// us those of an earlier process too.
    fn expect_releases(&mut self, unreleased: &HashSet<u16>) {
        for packet_identifier in 1..=u16::MAX {
            if self.connack.session_present || unreleased.contains(&packet_identifier) {
                self.rumqttc.expect_release(packet_identifier);
            }
        }
    }
}
