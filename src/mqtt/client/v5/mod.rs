//! MQTT 5 by rumqttc: the receiving half of a connection.

mod codes;
mod connack;
mod losses;
mod options;
mod received;
mod sender;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubCompReason, PubRel, Publish};
use rumqttc::v5::{Client, ConnectionError, Event as Rumqttc, RecvTimeoutError, Request, StateError};

use self::codes::{granted, puback_code, pubrec_code, unsuback_failure};
use self::losses::{disconnected, lost};
use self::options::options;
use self::received::received;
use self::sender::{Sender5, publish};
use super::bounds::QUEUE;
use super::connection::{Connection, Event, Sender};
use super::lost::{Cause, Lost};
use super::slots::Slots;
use super::traffic::{Passed, Traffic};
use super::{outgoing, transport};
use crate::config::{Mqtt, Session};
use crate::mqtt::protocol::{Acknowledgement, Connack, Limits, Retransmission, Terms, Window};
use crate::printable::Printable;

/// How much of a reason string about one message is shown, in bytes.
const SHOWN: usize = 256;

struct Connection5 {
    rumqttc: rumqttc::v5::Connection,
    mqtt: Mqtt,
    session_present: bool,
    slots: Slots,
    traffic: Traffic,
}

/// A connection that is yet to be made.
pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Connection>) {
    let (client, rumqttc) = Client::new(options(mqtt, session), QUEUE);
    let slots = Slots::new(Limits::default().receive_maximum, mqtt.max_inflight);
    let mqtt = mqtt.clone();
    let connection = Connection5 { rumqttc, mqtt, session_present: false, slots, traffic: Traffic::default() };
    (Box::new(Sender5(client)), Box::new(connection))
}

impl Connection for Connection5 {
    fn connect_timeout(&self) -> Duration {
        // rumqttc's own limit is half of it; this one is for the case that it hangs
        2 * transport::connect_timeout(&self.mqtt)
    }

    fn connect(&mut self) -> Result<Connack, Lost> {
        match self.rumqttc.recv_timeout(self.connect_timeout()) {
            Ok(Ok(Rumqttc::Incoming(Packet::ConnAck(connack)))) => self.connected(connack),
            Ok(Ok(_)) => Err(Lost::not_a_connack()),
            Ok(Err(error)) => Err(self.lost(&error, false)),
            Err(RecvTimeoutError::Timeout) => Err(Lost::because(Cause::NoConnack, transport::silence(&self.mqtt))),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::new("the request queue is closed")),
        }
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Lost> {
        if let Some(silent) = self.traffic.silence() {
            return Err(silent);
        }
        self.rumqttc.eventloop.state.await_pingresp = false;
        match self.rumqttc.recv_timeout(timeout) {
            Ok(Ok(event)) => Ok(Some(self.translate(event))),
            Ok(Err(error)) => Err(self.lost(&error, true)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::new("the request queue is closed")),
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.rumqttc.eventloop.state.events.pop_front()?;
        Some(self.translate(event))
    }

    fn left_over(&mut self) -> Vec<Event> {
        let events: Vec<_> = self.rumqttc.eventloop.state.events.drain(..).collect();
        events.into_iter().map(|event| self.translate(event)).collect()
    }

    fn resend(&mut self, owed: Vec<Retransmission>) {
        self.rumqttc.eventloop.pending.extend(owed.into_iter().map(|owed| match owed {
            Retransmission::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier, None)),
            Retransmission::Publish(packet_identifier, message) => {
                Request::Publish(Publish { pkid: packet_identifier, dup: true, ..publish(&message) })
            }
        }));
    }

    fn nudge(&mut self) {
        self.rumqttc.eventloop.pending.push_back(Request::PingReq);
    }

    fn keepalive(&self) -> Duration {
        self.rumqttc.eventloop.options.keep_alive()
    }

    fn passed(&mut self) -> Passed {
        self.traffic.passed()
    }

    fn window(&self) -> Window {
        self.slots.window()
    }

    fn needs_recovery(&self) -> bool {
        self.slots.needs_recovery()
    }

    fn recover(&mut self, unreleased: &HashSet<u16>) {
        // returns nothing to be sent again, as nothing is unacknowledged
        self.rumqttc.eventloop.state.clean();
        self.slots.recovered();
        // `clean` forgets them
        if self.session_present {
            self.expect_releases(1..=u16::MAX);
        } else {
            self.expect_releases(unreleased.iter().copied());
        }
    }
}

impl Connection5 {
    fn connected(&mut self, connack: ConnAck) -> Result<Connack, Lost> {
        if let Some(what) = connack::forbidden(&connack) {
            return Err(Lost::new(format!("the broker announced a {what} of 0, which is a protocol error")));
        }
        self.session_present = connack.session_present;
        self.traffic = Traffic::to(&self.mqtt.server);
        let limits = connack::limits(&connack);
        self.slots = Slots::new(limits.receive_maximum, self.mqtt.max_inflight);
        // where the broker turns keep alive off, rumqttc would send PINGREQ without a pause
        if self.keepalive().is_zero() {
            self.rumqttc.eventloop.options.set_keep_alive(self.mqtt.keepalive);
        }
        if connack.session_present {
            // the session may owe us the PUBREL of any, of an earlier process too
            self.expect_releases(1..=u16::MAX);
        }
        let client_id = connack.properties.and_then(|announced| announced.assigned_client_identifier);
        let terms = Terms { keepalive: self.keepalive(), client_id };
        Ok(Connack { session_present: connack.session_present, limits, terms })
    }

    /// Has a PUBREL with one of these answered, as often as it comes: by itself rumqttc ends the connection over one
    /// whose PUBLISH came on another connection, or that comes again.
    fn expect_releases(&mut self, packet_identifiers: impl IntoIterator<Item = u16>) {
        let state = &mut self.rumqttc.eventloop.state;
        for packet_identifier in packet_identifiers {
            let mut received = Publish::new("", QoS::ExactlyOnce, Bytes::new(), None);
            received.pkid = packet_identifier;
            // stores the packet identifier, and does nothing else, as we acknowledge messages ourselves
            let _ = state.handle_incoming_packet(Packet::Publish(received));
            state.events.pop_back();
        }
    }

    fn translate(&mut self, event: Rumqttc) -> Event {
        let keepalive = self.keepalive();
        match event {
            Rumqttc::Incoming(packet) => self.translate_incoming(packet),
            Rumqttc::Outgoing(outgoing) => outgoing::translate(&outgoing, &mut self.traffic, keepalive),
        }
    }

    fn translate_incoming(&mut self, packet: Packet) -> Event {
        match packet {
            // its limits may differ from those that we keep to
            Packet::ConnAck(_) => Event::Violation("the broker sent a second CONNACK".to_owned()),
            Packet::SubAck(suback) => {
                let words = suback.properties.and_then(|properties| properties.reason_string);
                let answers = suback.return_codes.iter().map(|&code| granted(code)).collect();
                Event::Subscribed(suback.pkid, answers, printable(words))
            }
            Packet::UnsubAck(unsuback) => {
                Event::Unsubscribed(unsuback.pkid, unsuback.reasons.first().copied().and_then(unsuback_failure))
            }
            // with a topic alias that was never set: rumqttc ends the connection over it
            Packet::Publish(message) if message.topic.is_empty() => Event::Other,
            Packet::Publish(message) => {
                let packet_identifier = message.pkid;
                Event::Received(received(message).into(), packet_identifier)
            }
            Packet::PubRel(release) => {
                self.expect_releases([release.pkid]);
                Event::Released(release.pkid)
            }
            Packet::PubAck(ack) => {
                let words = ack.properties.and_then(|properties| properties.reason_string);
                let code = puback_code(ack.reason);
                Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, Some(code), printable(words))
            }
            Packet::PubRec(ack) => {
                let code = pubrec_code(ack.reason);
                if code >= 0x80 {
                    // rumqttc counts a refused publish at QoS 2 as unacknowledged for good (bytebeamio/rumqtt#1060)
                    self.slots.leak();
                }
                let words = ack.properties.and_then(|properties| properties.reason_string);
                Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, Some(code), printable(words))
            }
            Packet::PubComp(ack) => {
                let is_found = ack.reason == PubCompReason::Success;
                if !is_found {
                    // and so it does here
                    self.slots.leak();
                }
                Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, Some(if is_found { 0 } else { 146 }), None)
            }
            Packet::PingResp(_) => {
                self.traffic.answered();
                Event::Alive
            }
            _ => Event::Other,
        }
    }

    fn lost(&self, error: &ConnectionError, is_connected: bool) -> Lost {
        let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) = error else {
            return lost(error, &self.mqtt, is_connected);
        };
        let properties = self.rumqttc.eventloop.state.events.iter().rev().find_map(|event| match event {
            Rumqttc::Incoming(Packet::Disconnect(packet)) => packet.properties.as_ref(),
            _ => None,
        });
        let reference = properties.and_then(|properties| properties.server_reference.as_ref());
        disconnected(*reason_code as u8, reason_string.as_ref(), reference)
    }
}

/// A reason string, if it says anything.
fn printable(words: Option<String>) -> Option<Arc<str>> {
    let words = words.filter(|words| !words.trim().is_empty())?;
    Some(Printable::new(&words, SHOWN).to_string().into())
}
