//! MQTT 3.1.1 as rumqttc speaks it: our messages in, our events out.

use std::time::Duration;

use rumqttc::mqttbytes::{self, QoS};
use rumqttc::{
    Client, ConnectReturnCode, Connection, ConnectionError, Event as LibraryEvent, LastWill, MqttOptions,
    NetworkOptions, Outgoing, Packet, PingReq, PubRel, Publish, RecvTimeoutError, Request, StateError, SubscribeFilter,
    SubscribeReasonCode,
};

use super::connection::{
    Cause, Event, Limits, Lost, Next, PACKET_IDENTIFIERS, Pipe, QUEUE, QueueFull, Sender, Terms, UNANNOUNCED_FACTOR,
    inbound_limit,
};
use super::traffic::{Passed, Traffic};
use super::transport;
use crate::config::{Mqtt, Session, Will};
use crate::message::{Message, Qos, Received, TopicFilter};
use crate::mqtt::reason::Reason;
use crate::mqtt::session::in_flight::{Acknowledgement, Owed};
use crate::printable::Printable;

/// How much of the library's words a record shows, in bytes.
const SHOWN: usize = 256;

/// How long a single packet may take to be written, however slowly: that nothing is taken at all is noticed before.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

struct Sender4(Client);

struct Pipe4 {
    connection: Connection,
    mqtt: Mqtt,
    connected: bool,
    traffic: Traffic,
}

/// A connection that is yet to be made.
pub fn open(mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Pipe>) {
    let (client, mut connection) = Client::new(options(mqtt, session), QUEUE);
    connection.eventloop.set_network_options(network_options(transport::patience(mqtt)));
    (
        Box::new(Sender4(client)),
        Box::new(Pipe4 { connection, mqtt: mqtt.clone(), connected: false, traffic: Traffic::default() }),
    )
}

/// For connecting within this time; and, once that is done, for each packet to be taken within it.
fn network_options(timeout: Duration) -> NetworkOptions {
    // not `default()`, whose timeout is 0 s
    let mut network = NetworkOptions::new();
    // without it a burst waits for the broker's delayed acknowledgement of TCP: 44 ms
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(timeout.as_secs());
    network
}

fn options(mqtt: &Mqtt, session: Session) -> MqttOptions {
    let (host, port) = transport::place(mqtt);
    let mut options = MqttOptions::new(&mqtt.client_id, host, port);
    let inbound = inbound_limit(mqtt.max_packet_size.saturating_mul(UNANNOUNCED_FACTOR)) as usize;
    options
        .set_keep_alive(mqtt.keepalive)
        .set_clean_session(session == Session::Clean)
        .set_inflight(PACKET_IDENTIFIERS)
        // when they are in the journal
        .set_manual_acks(true)
        // what goes out is checked before it is handed over
        .set_max_packet_size(inbound, usize::MAX);
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.user, login.password.reveal());
    }
    if let Some(Will { message: will, .. }) = &mqtt.will {
        let (topic, payload) = (will.topic.as_str(), will.payload.clone());
        options.set_last_will(LastWill::new(topic, payload, library_qos(will.qos), will.retain));
    }
    options
}

impl Sender for Sender4 {
    fn publish(&self, message: &Message) -> Result<(), QueueFull> {
        let qos = library_qos(message.qos);
        let handed_over = self.0.try_publish(message.topic.as_str(), qos, message.retain, message.payload.clone());
        handed_over.map_err(|_| QueueFull)
    }

    fn subscribe(&self, filters: &[(TopicFilter, Qos)], _: Option<u32>) -> Result<(), QueueFull> {
        let filter = |(topic, qos): &(TopicFilter, Qos)| SubscribeFilter::new(topic.as_str().into(), library_qos(*qos));
        self.0.try_subscribe_many(filters.iter().map(filter)).map_err(|_| QueueFull)
    }

    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull> {
        self.0.try_unsubscribe(filter.as_str()).map_err(|_| QueueFull)
    }

    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull> {
        let qos = if qos == 1 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        // the library looks at no more than these two
        let mut received = Publish::new("", qos, []);
        received.pkid = packet_identifier;
        self.0.try_ack(&received).map_err(|_| QueueFull)
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_| QueueFull)
    }
}

/// The size of a whole PUBLISH packet in bytes (MQTT 3.1.1, 3.3).
pub fn packet_size(message: &Message) -> usize {
    let packet_identifier = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    super::connection::packet_size(2 + message.topic.as_str().len() + packet_identifier + message.payload.len())
}

impl Pipe for Pipe4 {
    fn next(&mut self, timeout: Duration) -> Next {
        if !self.connected {
            self.connection.eventloop.mqtt_options.set_transport(transport::transport(&self.mqtt));
        }
        if let Some(silent) = self.traffic.silence() {
            return Next::Lost(silent);
        }
        self.connection.eventloop.state.await_pingresp = false;
        match self.connection.recv_timeout(timeout) {
            Ok(Ok(LibraryEvent::Incoming(Packet::ConnAck(connack)))) => {
                self.connected = true;
                self.traffic = Traffic::to(&self.mqtt.server);
                self.connection.eventloop.set_network_options(network_options(FLUSH_TIMEOUT));
                Next::Event(Event::Connected {
                    session_present: connack.session_present,
                    limits: Limits::default(),
                    terms: Terms { keepalive: self.keepalive(), client_id: None },
                })
            }
            Ok(Ok(event)) => Next::Event(self.translate(event)),
            Ok(Err(error)) => Next::Lost(lost(&error, &self.mqtt, self.connected)),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Lost(Lost::new("the request queue is closed")),
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.connection.eventloop.state.events.pop_front()?;
        Some(self.translate(event))
    }

    fn left_over(&mut self) -> Vec<Event> {
        self.connection.eventloop.state.events.drain(..).map(translate).collect()
    }

    fn resend(&mut self, owed: Vec<Owed>) {
        self.connection.eventloop.pending.extend(owed.into_iter().map(|owed| match owed {
            Owed::PubRel(packet_identifier) => Request::PubRel(PubRel::new(packet_identifier)),
            Owed::Publish(packet_identifier, message) => {
                let mut publish = Publish::new(message.topic.as_str(), library_qos(message.qos), message.payload);
                publish.retain = message.retain;
                publish.pkid = packet_identifier;
                publish.dup = true;
                Request::Publish(publish)
            }
        }));
    }

    fn nudge(&mut self) {
        self.connection.eventloop.pending.push_back(Request::PingReq(PingReq));
    }

    fn expect_releases(&mut self, packet_identifiers: &mut dyn Iterator<Item = u16>) {
        let state = &mut self.connection.eventloop.state;
        for packet_identifier in packet_identifiers {
            let mut known = Publish::new("", QoS::ExactlyOnce, []);
            known.pkid = packet_identifier;
            // keeps its identifier in mind, and does no more, as acknowledgements are ours
            let _ = state.handle_incoming_packet(Packet::Publish(known));
            state.events.pop_back();
        }
    }

    fn keepalive(&self) -> Duration {
        self.connection.eventloop.mqtt_options.keep_alive()
    }

    fn passed(&mut self) -> Passed {
        self.traffic.passed()
    }

    fn leaked(&self) -> u16 {
        0
    }

    fn recover(&mut self) {}
}

impl Pipe4 {
    fn translate(&mut self, event: LibraryEvent) -> Event {
        match &event {
            LibraryEvent::Outgoing(Outgoing::PingReq) => self.traffic.pinged(self.keepalive()),
            LibraryEvent::Incoming(Packet::PingResp) => self.traffic.answered(),
            _ => {}
        }
        translate(event)
    }
}

fn translate(event: LibraryEvent) -> Event {
    match event {
        LibraryEvent::Incoming(Packet::SubAck(suback)) => {
            Event::Subscribed(suback.pkid, suback.return_codes.iter().map(|&code| granted(code)).collect(), None)
        }
        LibraryEvent::Incoming(Packet::UnsubAck(unsuback)) => Event::Unsubscribed(unsuback.pkid, None),
        LibraryEvent::Incoming(Packet::Publish(message)) => {
            let received = Received {
                topic: message.topic.into_bytes(),
                // a copy: what was read with it would stay as long as it does
                payload: message.payload.to_vec(),
                qos: message.qos as u8,
                retain: message.retain,
                dup: message.dup,
                ..Received::default()
            };
            Event::Received(received.into(), message.pkid)
        }
        LibraryEvent::Incoming(Packet::PubRel(release)) => Event::Released(release.pkid),
        LibraryEvent::Incoming(Packet::PubAck(ack)) => {
            Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, None, None)
        }
        LibraryEvent::Incoming(Packet::PubRec(ack)) => {
            Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, None, None)
        }
        LibraryEvent::Incoming(Packet::PubComp(ack)) => {
            Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, None, None)
        }
        LibraryEvent::Outgoing(Outgoing::Publish(packet_identifier)) => Event::Written(packet_identifier),
        LibraryEvent::Outgoing(Outgoing::Subscribe(identifier) | Outgoing::Unsubscribe(identifier)) => {
            Event::Asked(identifier)
        }
        LibraryEvent::Incoming(Packet::PingResp) => Event::Alive,
        LibraryEvent::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        LibraryEvent::Outgoing(Outgoing::AwaitAck(packet_identifier)) => Event::Collision(packet_identifier),
        _ => Event::Other,
    }
}

fn library_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// The granted QoS, or 128 for a refusal (MQTT 3.1.1, 3.9.3).
fn granted(code: SubscribeReasonCode) -> Result<u8, u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos as u8),
        SubscribeReasonCode::Failure => Err(128),
    }
}

fn lost(error: &ConnectionError, mqtt: &Mqtt, connected: bool) -> Lost {
    if let Some(words) = transport::failure(error, mqtt, connected) {
        return Lost::new(words);
    }
    let not_answered = if connected { Cause::Closed } else { Cause::NoConnack };
    match error {
        ConnectionError::Io(error) => Lost::new(transport::io_words(error)),
        ConnectionError::NetworkTimeout => Lost::because(not_answered, transport::silence(mqtt)),
        ConnectionError::FlushTimeout => {
            Lost::new(format!("the broker did not take a packet within {} s", FLUSH_TIMEOUT.as_secs()))
        }
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::MqttState(error) => lost_by_state(error, not_answered),
        #[cfg(feature = "websocket")]
        ConnectionError::Websocket(error) => Lost::new(transport::no_websocket(error)),
        #[cfg(feature = "websocket")]
        ConnectionError::ResponseValidation(error) => Lost::new(transport::no_websocket(error)),
        other => Lost::new(Printable::new(&other.to_string(), SHOWN).to_string()),
    }
}

fn lost_by_state(error: &StateError, not_answered: Cause) -> Lost {
    match error {
        StateError::ConnectionAborted => Lost::because(not_answered, "closed by the broker"),
        StateError::WrongPacket => Lost::new("the broker sent a packet of a kind that only clients send"),
        StateError::Unsolicited(packet_identifier) => {
            Lost::new(format!("the broker acknowledged packet identifier {packet_identifier}, which waits for nothing"))
        }
        StateError::AwaitPingResp => Lost::new("no answer to a PINGREQ within the keep alive time"),
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
            Lost::because(not_answered, transport::io_words(error))
        }
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(size)) => {
            Lost::because(Cause::InboundTooLarge, format!("the broker sent a packet of {size} bytes, over the limit"))
        }
        StateError::Deserialization(mqttbytes::Error::InvalidSubscribeReasonCode(code))
            if not_answered == Cause::Closed =>
        {
            Lost::because(Cause::SubscribeRefused, format!("the broker refused a topic filter: {}", Reason(*code)))
                .with_reason(*code)
        }
        StateError::Deserialization(error) => {
            let words = error.to_string();
            let cause = if not_answered == Cause::Closed { Cause::Undecodable } else { not_answered };
            let words = format!("the broker sent a packet that cannot be decoded: {}", Printable::new(&words, SHOWN));
            Lost::because(cause, words)
        }
        other => Lost::new(Printable::new(&other.to_string(), SHOWN).to_string()),
    }
}

fn refused(code: ConnectReturnCode) -> Lost {
    let code = code as u8;
    let cause = if code == 1 { Cause::Version } else { Cause::Other };
    Lost::because(cause, format!("refused by the broker: {}", Reason(code))).with_reason(code)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Properties, TopicName};

    #[test]
    fn the_size_of_a_packet_is_what_the_library_will_write() {
        for (length, qos) in
            [(0, Qos::AtMostOnce), (118, Qos::AtLeastOnce), (16_373, Qos::ExactlyOnce), (2_097_143, Qos::AtMostOnce)]
        {
            let topic = TopicName::try_from("a/topic".to_owned()).unwrap();
            let payload = Bytes::from(vec![0; length]);
            let mut library = Publish::new("a/topic", library_qos(qos), payload.clone());
            library.pkid = 1;
            let message = Message { topic, payload, qos, retain: false, properties: Properties::default() };
            assert_eq!(packet_size(&message), library.size(), "{length}");
        }
    }
}
