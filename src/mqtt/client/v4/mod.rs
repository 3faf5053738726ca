//! MQTT 3.1.1 by rumqttc: the receiving half of a connection.

mod losses;
mod options;
mod packet;
mod sender;

use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::{
    Client, Event as Rumqttc4, Packet, PingReq, PubRel, Publish, RecvTimeoutError, Request, SubscribeReasonCode,
};

use self::losses::lost;
use self::options::{FLUSH_TIMEOUT, options};
use self::packet::publish;
use self::sender::Sender4;
use super::bounds::QUEUE;
use super::connection::{Event, Sender};
use super::lost::Lost;
use super::version::Rumqttc;
use super::{outgoing, transport};
use crate::config::{Mqtt, Session};
use crate::message::Received;
use crate::mqtt::protocol::{Acknowledgement, Connack, Limits, Retransmission, Terms};

/// With 20 publishes at QoS 2 whose PUBREL has not come, mosquitto drops the next publish by default
/// (`max_inflight_messages`), and acknowledges it: MQTT 3.1.1 has no reason code that says so. One at QoS 1 counts too
/// at the moment it arrives.
const EXACTLY_ONCE: u16 = 19;

struct Connection4 {
    rumqttc: rumqttc::Connection,
    mqtt: Mqtt,
}

pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Rumqttc>) {
    let (client, mut rumqttc) = Client::new(options(mqtt, session), QUEUE);
    rumqttc.eventloop.set_network_options(transport::network_options(transport::connect_timeout(mqtt)));
    (Box::new(Sender4(client)), Box::new(Connection4 { rumqttc, mqtt: mqtt.clone() }))
}

impl Rumqttc for Connection4 {
    fn receive(&mut self, timeout: Duration, is_connected: bool) -> Result<Option<Event>, Lost> {
        self.rumqttc.eventloop.state.await_pingresp = false;
        match self.rumqttc.recv_timeout(timeout) {
            Ok(Ok(event)) => Ok(Some(self.translate(event))),
            Ok(Err(error)) => Err(lost(&error, &self.mqtt, is_connected)),
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
            Retransmission::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier)),
            Retransmission::Publish(packet_identifier, message) => {
                Request::Publish(Publish { pkid: packet_identifier, dup: true, ..publish(&message) })
            }
        });
    }

    fn ping(&mut self) {
        self.rumqttc.eventloop.pending.push_back(Request::PingReq(PingReq));
    }

    fn expect_release(&mut self, packet_identifier: u16) {
        let state = &mut self.rumqttc.eventloop.state;
        let received = Publish { pkid: packet_identifier, ..Publish::new("", QoS::ExactlyOnce, []) };
        // stores the packet identifier, and does nothing else, as we acknowledge messages ourselves
        let _ = state.handle_incoming_packet(Packet::Publish(received));
        state.events.pop_back();
    }

    fn clean(&mut self) {
        // returns nothing to be sent again, as nothing is unacknowledged
        self.rumqttc.eventloop.state.clean();
    }
}

impl Connection4 {
    fn translate(&mut self, event: Rumqttc4) -> Event {
        match event {
            Rumqttc4::Incoming(Packet::ConnAck(connack)) => self.connected(connack.session_present),
            Rumqttc4::Incoming(packet) => translate(packet),
            Rumqttc4::Outgoing(outgoing) => outgoing::translate(&outgoing),
        }
    }

    fn connected(&mut self, session_present: bool) -> Event {
        self.rumqttc.eventloop.set_network_options(transport::network_options(FLUSH_TIMEOUT));
        let terms = Terms { keepalive: self.mqtt.keepalive, client_id: None };
        let limits = Limits { exactly_once: EXACTLY_ONCE, ..Limits::default() };
        Event::Connected(Connack { session_present, limits, terms })
    }
}

fn translate(packet: Packet) -> Event {
    match packet {
        Packet::SubAck(suback) => {
            Event::Subscribed(suback.pkid, suback.return_codes.into_iter().map(granted).collect(), None)
        }
        Packet::UnsubAck(unsuback) => Event::Unsubscribed(unsuback.pkid, None),
        Packet::Publish(message) => {
            let packet_identifier = message.pkid;
            Event::Received(received(message).into(), packet_identifier)
        }
        Packet::PubRel(release) => Event::Released(release.pkid),
        Packet::PubAck(ack) => Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, None, None),
        Packet::PubRec(ack) => Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, None, None),
        Packet::PubComp(ack) => Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, None, None),
        Packet::PingResp => Event::Alive,
        _ => Event::Other,
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
