//! MQTT 5 by rumqttc: the receiving half of a connection.

mod codes;
mod connack;
mod event;
mod losses;
mod options;
mod packet;
mod received;
mod sender;

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubRel, Publish, RetainForwardRule};
use rumqttc::v5::{Client, ConnectionError, Event as Rumqttc5, RecvTimeoutError, Request, StateError};

use self::event::translate;
use self::losses::{disconnected, lost};
use self::options::options;
use self::packet::publish;
use self::sender::Sender5;
use super::bounds::QUEUE;
use super::connection::{Event, Sender};
use super::lost::Lost;
use super::outgoing;
use super::version::Rumqttc;
use crate::config::{Mqtt, Session};
use crate::mqtt::protocol::{Connack, Retransmission, Terms};

struct Connection5 {
    rumqttc: rumqttc::v5::Connection,
    mqtt: Mqtt,
}

pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Rumqttc>) {
    let (client, rumqttc) = Client::new(options(mqtt, session), QUEUE);
    let retain_handling =
        if mqtt.retained_once { RetainForwardRule::OnNewSubscribe } else { RetainForwardRule::OnEverySubscribe };
    (Box::new(Sender5 { client, retain_handling }), Box::new(Connection5 { rumqttc, mqtt: mqtt.clone() }))
}

impl Rumqttc for Connection5 {
    fn receive(&mut self, timeout: Duration, is_connected: bool) -> Result<Option<Event>, Lost> {
        self.rumqttc.eventloop.state.await_pingresp = false;
        match self.rumqttc.recv_timeout(timeout) {
            Ok(Ok(event)) => Ok(Some(self.translate(event))),
            Ok(Err(error)) => Err(self.lost(&error, is_connected)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::new("the request queue is closed")),
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.rumqttc.eventloop.state.events.pop_front()?;
        Some(self.translate(event))
    }

    fn resend(&mut self, owed: Retransmission) {
        self.rumqttc.eventloop.pending.push_back(match owed {
            Retransmission::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier, None)),
            Retransmission::Publish(packet_identifier, message) => {
                Request::Publish(Publish { pkid: packet_identifier, dup: true, ..publish(&message) })
            }
        });
    }

    fn ping(&mut self) {
        self.rumqttc.eventloop.pending.push_back(Request::PingReq);
    }

    fn expect_release(&mut self, packet_identifier: u16) {
        let state = &mut self.rumqttc.eventloop.state;
        let received = Publish { pkid: packet_identifier, ..Publish::new("", QoS::ExactlyOnce, Bytes::new(), None) };
        // stores the packet identifier, and does nothing else, as we acknowledge messages ourselves
        let _ = state.handle_incoming_packet(Packet::Publish(received));
        state.events.pop_back();
    }

    fn clean(&mut self) {
        // returns nothing to be sent again, as nothing is unacknowledged
        self.rumqttc.eventloop.state.clean();
    }
}

impl Connection5 {
    fn translate(&mut self, event: Rumqttc5) -> Event {
        match event {
            Rumqttc5::Incoming(Packet::ConnAck(connack)) => self.connected(connack),
            Rumqttc5::Incoming(packet) => translate(packet),
            Rumqttc5::Outgoing(outgoing) => outgoing::translate(&outgoing),
        }
    }

    fn connected(&mut self, connack: ConnAck) -> Event {
        if let Some(what) = connack::forbidden(&connack) {
            return Event::Violation(format!("the broker announced a {what} of 0, which is a protocol error"));
        }
        let options = &mut self.rumqttc.eventloop.options;
        // where the broker turns keep alive off, rumqttc would send PINGREQ without a pause
        if options.keep_alive().is_zero() {
            options.set_keep_alive(self.mqtt.keepalive);
        }
        let (keepalive, limits) = (options.keep_alive(), connack::limits(&connack));
        let client_id = connack.properties.and_then(|announced| announced.assigned_client_identifier);
        let terms = Terms { keepalive, client_id };
        Event::Connected(Connack { session_present: connack.session_present, limits, terms })
    }

    fn lost(&self, error: &ConnectionError, is_connected: bool) -> Lost {
        let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) = error else {
            return lost(error, &self.mqtt, is_connected);
        };
        let properties = self.rumqttc.eventloop.state.events.iter().rev().find_map(|event| match event {
            Rumqttc5::Incoming(Packet::Disconnect(packet)) => packet.properties.as_ref(),
            _ => None,
        });
        let reference = properties.and_then(|properties| properties.server_reference.as_ref());
        disconnected(*reason_code as u8, reason_string.as_ref(), reference)
    }
}
