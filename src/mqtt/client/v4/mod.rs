//! MQTT 3.1.1 by rumqttc: the receiving half of a connection.

mod losses;
mod options;
mod sender;

use std::collections::HashSet;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::{
    Client, ConnAck, Event as Rumqttc, Packet, PingReq, PubRel, Publish, RecvTimeoutError, Request, SubscribeReasonCode,
};

use self::losses::lost;
use self::options::{FLUSH_TIMEOUT, network_options, options};
use self::sender::{Sender4, publish};
use super::bounds::QUEUE;
use super::connection::{Connection, Event, Sender};
use super::lost::{Cause, Lost};
use super::slots::Slots;
use super::traffic::{Passed, Traffic};
use super::{outgoing, transport};
use crate::config::{Mqtt, Session};
use crate::message::Received;
use crate::mqtt::protocol::{Acknowledgement, Connack, Limits, Retransmission, Terms, Window};

struct Connection4 {
    rumqttc: rumqttc::Connection,
    mqtt: Mqtt,
    session_present: bool,
    slots: Slots,
    traffic: Traffic,
}

/// A connection that is yet to be made.
pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Connection>) {
    let (client, mut rumqttc) = Client::new(options(mqtt, session), QUEUE);
    rumqttc.eventloop.set_network_options(network_options(transport::connect_timeout(mqtt)));
    let slots = Slots::new(Limits::default().receive_maximum, mqtt.max_inflight);
    let mqtt = mqtt.clone();
    let connection = Connection4 { rumqttc, mqtt, session_present: false, slots, traffic: Traffic::default() };
    (Box::new(Sender4(client)), Box::new(connection))
}

impl Connection for Connection4 {
    fn connect_timeout(&self) -> Duration {
        // rumqttc's own limit is half of it; this one is for the case that it hangs
        2 * transport::connect_timeout(&self.mqtt)
    }

    fn connect(&mut self) -> Result<Connack, Lost> {
        match self.rumqttc.recv_timeout(self.connect_timeout()) {
            Ok(Ok(Rumqttc::Incoming(Packet::ConnAck(connack)))) => Ok(self.connected(&connack)),
            Ok(Ok(_)) => Err(Lost::not_a_connack()),
            Ok(Err(error)) => Err(lost(&error, &self.mqtt, false)),
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
            Ok(Err(error)) => Err(lost(&error, &self.mqtt, true)),
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
            Retransmission::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier)),
            Retransmission::Publish(packet_identifier, message) => {
                Request::Publish(Publish { pkid: packet_identifier, dup: true, ..publish(&message) })
            }
        }));
    }

    fn nudge(&mut self) {
        self.rumqttc.eventloop.pending.push_back(Request::PingReq(PingReq));
    }

    fn keepalive(&self) -> Duration {
        self.rumqttc.eventloop.mqtt_options.keep_alive()
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

    fn recover(&mut self, _: &HashSet<u16>) {
        // in MQTT 3.1.1 there are no reason codes, and rumqttc leaks nothing
        self.slots.recovered();
    }
}

impl Connection4 {
    fn connected(&mut self, connack: &ConnAck) -> Connack {
        self.session_present = connack.session_present;
        self.traffic = Traffic::to(&self.mqtt.server);
        self.rumqttc.eventloop.set_network_options(network_options(FLUSH_TIMEOUT));
        if connack.session_present {
            // the session may owe us the PUBREL of any, of an earlier process too
            self.expect_releases(1..=u16::MAX);
        }
        Connack {
            session_present: connack.session_present,
            limits: Limits::default(),
            terms: Terms { keepalive: self.keepalive(), client_id: None },
        }
    }

    /// Has a PUBREL with one of these answered, as often as it comes: by itself rumqttc ends the connection over one
    /// whose PUBLISH came on another connection, or that comes again.
    fn expect_releases(&mut self, packet_identifiers: impl IntoIterator<Item = u16>) {
        let state = &mut self.rumqttc.eventloop.state;
        for packet_identifier in packet_identifiers {
            let mut received = Publish::new("", QoS::ExactlyOnce, []);
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
            Packet::SubAck(suback) => {
                Event::Subscribed(suback.pkid, suback.return_codes.iter().map(|&code| granted(code)).collect(), None)
            }
            Packet::UnsubAck(unsuback) => Event::Unsubscribed(unsuback.pkid, None),
            Packet::Publish(message) => {
                let packet_identifier = message.pkid;
                Event::Received(received(message).into(), packet_identifier)
            }
            Packet::PubRel(release) => {
                self.expect_releases([release.pkid]);
                Event::Released(release.pkid)
            }
            Packet::PubAck(ack) => Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, None, None),
            Packet::PubRec(ack) => Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, None, None),
            Packet::PubComp(ack) => Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, None, None),
            Packet::PingResp => {
                self.traffic.answered();
                Event::Alive
            }
            _ => Event::Other,
        }
    }
}

fn received(message: Publish) -> Received {
    Received {
        topic: message.topic.into_bytes(),
        // a copy: the original would keep the whole buffer that it was read with
        payload: message.payload.to_vec(),
        qos: message.qos as u8,
        retain: message.retain,
        dup: message.dup,
        ..Received::default()
    }
}

/// The granted QoS, or 128 for a refusal (MQTT 3.1.1, 3.9.3).
fn granted(code: SubscribeReasonCode) -> Result<u8, u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos as u8),
        SubscribeReasonCode::Failure => Err(128),
    }
}
