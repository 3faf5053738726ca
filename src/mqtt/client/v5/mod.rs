//! MQTT 5 as rumqttc speaks it: our messages in, our events out.

mod codes;
mod losses;
mod received;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, LastWill, Packet, PubCompReason, PubRel, Publish, PublishProperties, SubscribeProperties,
};
use rumqttc::v5::{Client, Connection, ConnectionError, MqttOptions, RecvTimeoutError, Request, StateError};
use rumqttc::{NetworkOptions, Outgoing};

use self::codes::{granted, puback_code, pubrec_code, unsuback_failure};
use self::losses::{disconnected, lost};
use self::received::received;
use super::connection::{
    Event, Limits, Lost, Next, PACKET_IDENTIFIERS, Pipe, QUEUE, QueueFull, Sender, Terms, inbound_limit, length_bytes,
};
use super::traffic::{Passed, Traffic};
use super::transport;
use crate::config::{Mqtt, Session, Will};
use crate::journal;
use crate::message::{Message, Properties, Qos, TopicFilter};
use crate::mqtt::session::in_flight::{Acknowledgement, Owed};
use crate::printable::Printable;

/// How much of a broker's own words of a message is shown, in bytes.
const SHOWN: usize = 256;

struct Sender5(Client);

struct Pipe5 {
    connection: Connection,
    mqtt: Mqtt,
    connected: bool,
    leaked: u16,
    traffic: Traffic,
}

/// A connection that is yet to be made.
pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Pipe>) {
    let (client, connection) = Client::new(options(mqtt, session), QUEUE);
    let pipe = Pipe5 { connection, mqtt: mqtt.clone(), connected: false, leaked: 0, traffic: Traffic::default() };
    (Box::new(Sender5(client)), Box::new(pipe))
}

fn options(mqtt: &Mqtt, session: Session) -> MqttOptions {
    let (host, port) = transport::place(mqtt);
    let mut options = MqttOptions::new(&mqtt.client_id, host, port);
    // not `default()`, whose timeout is 0 s
    let mut network = NetworkOptions::new();
    // without it a burst waits for the broker's delayed acknowledgement of TCP: 44 ms
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_connection_timeout(transport::patience(mqtt).as_secs())
        .set_keep_alive(mqtt.keepalive)
        .set_outgoing_inflight_upper_limit(PACKET_IDENTIFIERS)
        // when they are in the journal, which holds so many at a time
        .set_manual_acks(true)
        .set_receive_maximum(Some(journal::MAX_MESSAGES))
        // announced to the broker too, which then keeps longer packets to itself
        .set_max_packet_size(Some(inbound_limit(mqtt.max_packet_size)));
    match session {
        Session::Clean => options.set_clean_start(true),
        // without an expiry interval the session would end with the connection
        Session::Kept { expiry } => options.set_clean_start(false).set_session_expiry_interval(Some(expiry)),
    };
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.user, login.password.reveal());
    }
    if let Some(Will { message: will, .. }) = &mqtt.will {
        let (topic, payload) = (will.topic.as_str(), will.payload.clone());
        options.set_last_will(LastWill::new(topic, payload, library_qos(will.qos), will.retain, None));
    }
    options
}

impl Sender for Sender5 {
    fn publish(&self, message: &Message) -> Result<(), QueueFull> {
        let (topic, qos, payload) = (message.topic.as_str(), library_qos(message.qos), message.payload.clone());
        let handed_over = match properties(&message.properties) {
            None => self.0.try_publish(topic, qos, message.retain, payload),
            Some(properties) => self.0.try_publish_with_properties(topic, qos, message.retain, payload, properties),
        };
        handed_over.map_err(|_| QueueFull)
    }

    fn subscribe(&self, filters: &[(TopicFilter, Qos)], identifier: Option<u32>) -> Result<(), QueueFull> {
        let filters = filters.iter().map(|(topic, qos)| Filter::new(topic.as_str(), library_qos(*qos)));
        let handed_over = match identifier.and_then(|identifier| usize::try_from(identifier).ok()) {
            None => self.0.try_subscribe_many(filters),
            Some(identifier) => {
                let properties = SubscribeProperties { id: Some(identifier), user_properties: Vec::new() };
                self.0.try_subscribe_many_with_properties(filters, properties)
            }
        };
        handed_over.map_err(|_| QueueFull)
    }

    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull> {
        self.0.try_unsubscribe(filter.as_str()).map_err(|_| QueueFull)
    }

    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull> {
        let qos = if qos == 1 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        // the library looks at no more than these two
        let mut received = Publish::new("", qos, Bytes::new(), None);
        received.pkid = packet_identifier;
        self.0.try_ack(&received).map_err(|_| QueueFull)
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_| QueueFull)
    }
}

/// The size of a whole PUBLISH packet in bytes (MQTT 5, 3.3).
pub fn packet_size(message: &Message) -> usize {
    let packet_identifier = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    let properties = properties_size(&message.properties);
    let topic = 2 + message.topic.as_str().len();
    super::connection::packet_size(
        topic + packet_identifier + length_bytes(properties) + properties + message.payload.len(),
    )
}

fn properties_size(properties: &Properties) -> usize {
    let string = |length: usize| 1 + 2 + length;
    let user =
        properties.user_properties.iter().map(|(name, value)| string(name.as_str().len()) + 2 + value.as_str().len());
    properties.payload_format_indicator.map_or(0, |_| 1 + 1)
        + properties.message_expiry_interval.map_or(0, |_| 1 + 4)
        + properties.response_topic.as_ref().map_or(0, |topic| string(topic.as_str().len()))
        + properties.correlation_data.as_ref().map_or(0, |data| string(data.len()))
        + properties.content_type.as_ref().map_or(0, |text| string(text.as_str().len()))
        + user.sum::<usize>()
}

fn properties(properties: &Properties) -> Option<PublishProperties> {
    let pair = |(name, value): &(crate::message::MqttString, crate::message::MqttString)| {
        (name.as_str().to_owned(), value.as_str().to_owned())
    };
    (!properties.is_empty()).then(|| PublishProperties {
        payload_format_indicator: properties.payload_format_indicator.map(u8::from),
        message_expiry_interval: properties.message_expiry_interval,
        response_topic: properties.response_topic.as_ref().map(|topic| topic.as_str().to_owned()),
        correlation_data: properties.correlation_data.clone(),
        content_type: properties.content_type.as_ref().map(|text| text.as_str().to_owned()),
        user_properties: properties.user_properties.iter().map(pair).collect(),
        ..PublishProperties::default()
    })
}

impl Pipe for Pipe5 {
    fn next(&mut self, timeout: Duration) -> Next {
        if !self.connected {
            self.connection.eventloop.options.set_transport(transport::transport(&self.mqtt));
        }
        if let Some(silent) = self.traffic.silence() {
            return Next::Lost(silent);
        }
        self.connection.eventloop.state.await_pingresp = false;
        match self.connection.recv_timeout(timeout) {
            Ok(Ok(rumqttc::v5::Event::Incoming(Packet::ConnAck(connack)))) if forbidden(&connack).is_some() => {
                let what = forbidden(&connack).unwrap_or_default();
                Next::Lost(Lost::new(format!("the broker announced a {what} of 0, which is a protocol error")))
            }
            Ok(Ok(event)) => Next::Event(self.translate(event)),
            Ok(Err(error)) => Next::Lost(self.lost(&error)),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Lost(Lost::new("the request queue is closed")),
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.connection.eventloop.state.events.pop_front()?;
        Some(self.translate(event))
    }

    fn left_over(&mut self) -> Vec<Event> {
        let events: Vec<_> = self.connection.eventloop.state.events.drain(..).collect();
        events.into_iter().map(|event| self.translate(event)).collect()
    }

    fn resend(&mut self, owed: Vec<Owed>) {
        self.connection.eventloop.pending.extend(owed.into_iter().map(|owed| match owed {
            Owed::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier, None)),
            Owed::Publish(packet_identifier, message) => {
                let qos = library_qos(message.qos);
                let mut publish =
                    Publish::new(message.topic.as_str(), qos, message.payload, properties(&message.properties));
                publish.retain = message.retain;
                publish.pkid = packet_identifier;
                publish.dup = true;
                Request::Publish(publish)
            }
        }));
    }

    fn nudge(&mut self) {
        self.connection.eventloop.pending.push_back(Request::PingReq);
    }

    fn expect_releases(&mut self, packet_identifiers: &mut dyn Iterator<Item = u16>) {
        let state = &mut self.connection.eventloop.state;
        for packet_identifier in packet_identifiers {
            let mut known = Publish::new("", QoS::ExactlyOnce, Bytes::new(), None);
            known.pkid = packet_identifier;
            // keeps its identifier in mind, and does no more, as acknowledgements are ours
            let _ = state.handle_incoming_packet(Packet::Publish(known));
            state.events.pop_back();
        }
    }

    fn keepalive(&self) -> Duration {
        self.connection.eventloop.options.keep_alive()
    }

    fn passed(&mut self) -> Passed {
        self.traffic.passed()
    }

    fn leaked(&self) -> u16 {
        self.leaked
    }

    fn recover(&mut self) {
        // nothing is unacknowledged, so that this returns nothing to be sent again
        self.connection.eventloop.state.clean();
        self.leaked = 0;
    }
}

impl Pipe5 {
    fn translate(&mut self, event: rumqttc::v5::Event) -> Event {
        match event {
            rumqttc::v5::Event::Incoming(packet) => self.translate_incoming(packet),
            rumqttc::v5::Event::Outgoing(Outgoing::Publish(packet_identifier)) => Event::Written(packet_identifier),
            rumqttc::v5::Event::Outgoing(Outgoing::PingReq) => {
                self.traffic.pinged(self.keepalive());
                Event::Other
            }
            rumqttc::v5::Event::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
            rumqttc::v5::Event::Outgoing(Outgoing::Subscribe(identifier) | Outgoing::Unsubscribe(identifier)) => {
                Event::Asked(identifier)
            }
            rumqttc::v5::Event::Outgoing(Outgoing::AwaitAck(packet_identifier)) => Event::Collision(packet_identifier),
            rumqttc::v5::Event::Outgoing(_) => Event::Other,
        }
    }

    fn translate_incoming(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::ConnAck(connack) => {
                self.connected = true;
                self.traffic = Traffic::to(&self.mqtt.server);
                self.mend_keepalive();
                Event::Connected {
                    session_present: connack.session_present,
                    limits: limits(&connack),
                    terms: Terms {
                        keepalive: self.keepalive(),
                        client_id: connack.properties.and_then(|announced| announced.assigned_client_identifier),
                    },
                }
            }
            Packet::SubAck(suback) => {
                let words = suback.properties.and_then(|properties| properties.reason_string);
                let answers = suback.return_codes.iter().map(|&code| granted(code)).collect();
                Event::Subscribed(suback.pkid, answers, said(words))
            }
            Packet::UnsubAck(unsuback) => {
                Event::Unsubscribed(unsuback.pkid, unsuback.reasons.first().copied().and_then(unsuback_failure))
            }
            // a topic alias that was never given: the library answers with an error of its own
            Packet::Publish(message) if message.topic.is_empty() => Event::Other,
            Packet::Publish(message) => {
                let packet_identifier = message.pkid;
                Event::Received(received(message).into(), packet_identifier)
            }
            Packet::PingResp(_) => {
                self.traffic.answered();
                Event::Alive
            }
            Packet::PubRel(release) => Event::Released(release.pkid),
            Packet::PubAck(ack) => {
                let words = ack.properties.and_then(|properties| properties.reason_string);
                let code = puback_code(ack.reason);
                Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, Some(code), said(words))
            }
            Packet::PubRec(ack) => {
                let code = pubrec_code(ack.reason);
                // the library does not count a refused QoS 2 publish as done (bytebeamio/rumqtt#1060)
                self.leaked += u16::from(code >= 0x80);
                let words = ack.properties.and_then(|properties| properties.reason_string);
                Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, Some(code), said(words))
            }
            Packet::PubComp(ack) => {
                let found = ack.reason == PubCompReason::Success;
                self.leaked += u16::from(!found);
                Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, Some(if found { 0 } else { 146 }), None)
            }
            _ => Event::Other,
        }
    }

    fn lost(&self, error: &ConnectionError) -> Lost {
        let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) = error else {
            return lost(error, &self.mqtt, self.connected);
        };
        let properties = self.connection.eventloop.state.events.iter().rev().find_map(|event| match event {
            rumqttc::v5::Event::Incoming(Packet::Disconnect(packet)) => packet.properties.as_ref(),
            _ => None,
        });
        let reference = properties.and_then(|properties| properties.server_reference.as_ref());
        disconnected(*reason_code as u8, reason_string.as_ref(), reference)
    }

    /// A broker that turns keep alive off would have the library send PINGREQ without a pause.
    fn mend_keepalive(&mut self) {
        let options = &mut self.connection.eventloop.options;
        if options.keep_alive().is_zero() {
            options.set_keep_alive(self.mqtt.keepalive);
        }
    }
}

fn limits(connack: &ConnAck) -> Limits {
    let default = Limits::default();
    let Some(announced) = &connack.properties else {
        return Limits { subscription_identifiers: true, ..default };
    };
    Limits {
        receive_maximum: announced.receive_max.unwrap_or(default.receive_maximum),
        max_packet_size: announced.max_packet_size.unwrap_or(default.max_packet_size),
        max_qos: announced.max_qos.unwrap_or(default.max_qos),
        retain_available: announced.retain_available != Some(0),
        subscription_identifiers: announced.subscription_identifiers_available != Some(0),
    }
}

/// A broker's own words, if they say anything.
fn said(words: Option<String>) -> Option<Arc<str>> {
    let words = words.filter(|words| !words.trim().is_empty())?;
    Some(Printable::new(&words, SHOWN).to_string().into())
}

/// What a broker must not announce (MQTT 5, 3.2.2.3.3 and 3.2.2.3.6).
fn forbidden(connack: &ConnAck) -> Option<&'static str> {
    let announced = connack.properties.as_ref()?;
    match (announced.receive_max, announced.max_packet_size) {
        (Some(0), _) => Some("Receive Maximum"),
        (_, Some(0)) => Some("Maximum Packet Size"),
        _ => None,
    }
}

fn library_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{MqttString, TopicName};

    fn text(length: usize) -> MqttString {
        MqttString::try_from("x".repeat(length)).unwrap()
    }

    proptest! {
        #[test]
        fn the_size_of_a_packet_is_what_the_library_will_write(
            lengths in prop::array::uniform5(prop::option::of(0usize..200)),
            payload in prop::sample::select(vec![0, 100, 110, 119, 127, 16_360, 16_383, 2_097_100, 2_097_152]),
            qos in 0i64..3,
            expiry in any::<Option<u32>>(),
        ) {
            let [topic, correlation, content, name, value] = lengths;
            let message = Message {
                topic: TopicName::try_from("t".repeat(1 + topic.unwrap_or(0))).unwrap(),
                payload: Bytes::from(vec![0; payload]),
                qos: Qos::try_from(qos).unwrap(),
                retain: false,
                properties: Properties {
                    payload_format_indicator: topic.map(|length| length % 2 == 0),
                    message_expiry_interval: expiry,
                    response_topic: value.map(|length| TopicName::try_from("r".repeat(length + 1)).unwrap()),
                    correlation_data: correlation.map(|length| Bytes::from(vec![0; length])),
                    content_type: content.map(text),
                    user_properties: name.into_iter().map(|length| (text(length), text(value.unwrap_or(3)))).collect(),
                },
            };
            let mut library = Publish::new(
                message.topic.as_str(),
                library_qos(message.qos),
                message.payload.clone(),
                properties(&message.properties),
            );
            library.pkid = 1;
            prop_assert_eq!(packet_size(&message), library.size());
        }
    }
}
