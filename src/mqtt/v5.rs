//! MQTT 5 as rumqttc speaks it, and the only place that names it: our messages in, our events out.

use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode, Filter, Packet, SubscribeReasonCode};
use rumqttc::v5::mqttbytes::{self};
use rumqttc::v5::{Client, Connection, ConnectionError, MqttOptions, RecvTimeoutError, StateError};
use thiserror::Error;

use super::reason::Reason;
use super::{Event, Limits, Received};
use crate::config::{Mqtt, Subscription};
use crate::message::{Message, Qos};
use crate::printable::Printable;

/// How many requests may wait for the connection to send them.
const QUEUE: usize = 1000;
/// How long connecting may take, the CONNACK included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Packet identifiers that are used in turn; rumqttc keeps a slot of some 200 bytes for each.
const PACKET_IDENTIFIERS: u16 = 1000;
/// How much of a broker's own words a record shows, in bytes.
const SHOWN: usize = 256;

/// The sending end of one connection. Never waits.
#[derive(Clone)]
pub struct Sender(Client);

/// The receiving end of one connection, which also makes it go.
pub struct Pipe {
    connection: Connection,
    keepalive: Duration,
}

/// The connection does not take what is handed over as fast as it comes.
#[derive(Debug)]
pub struct QueueFull;

/// Why a connection ended, or did not come about, in words.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Lost(String);

/// A connection that is yet to be made: the first [`Pipe::next`] does it.
pub fn open(mqtt: &Mqtt) -> (Sender, Pipe) {
    let (client, connection) = Client::new(options(mqtt), QUEUE);
    (Sender(client), Pipe { connection, keepalive: mqtt.keepalive })
}

fn options(mqtt: &Mqtt) -> MqttOptions {
    let mut options = MqttOptions::new(&mqtt.client_id, &mqtt.server, mqtt.port);
    // not `default()`, whose timeout is 0 s
    let mut network = NetworkOptions::new();
    // without it a burst waits for the broker's delayed acknowledgement of TCP: 44 ms
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_connection_timeout(CONNECT_TIMEOUT.as_secs())
        .set_keep_alive(mqtt.keepalive)
        .set_clean_start(true)
        .set_outgoing_inflight_upper_limit(PACKET_IDENTIFIERS)
        // announced to the broker too, which then keeps longer packets to itself
        .set_max_packet_size(Some(mqtt.max_packet_size));
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.user, login.password.reveal());
    }
    options
}

impl Sender {
    /// Hands over a message that must have been checked against [`packet_size`].
    pub fn publish(&self, message: Message) -> Result<(), QueueFull> {
        let qos = library_qos(message.qos);
        self.0.try_publish(message.topic.as_str(), qos, message.retain, message.payload).map_err(|_| QueueFull)
    }

    /// Hands over one SUBSCRIBE for all topic filters, if there are any.
    pub fn subscribe(&self, subscriptions: &[Subscription]) -> Result<(), Lost> {
        if subscriptions.is_empty() {
            return Ok(());
        }
        let filters = subscriptions.iter().map(|wanted| Filter::new(wanted.topic.as_str(), library_qos(wanted.qos)));
        self.0.try_subscribe_many(filters).map_err(|_| Lost("the topic filters could not be handed over".to_owned()))
    }

    /// Hands over a DISCONNECT, which goes out after everything else.
    pub fn disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_| QueueFull)
    }
}

/// The size of a whole PUBLISH packet in bytes (MQTT 5, 3.3).
pub fn packet_size(message: &Message) -> usize {
    let packet_identifier = if message.qos == Qos::AtMostOnce { 0 } else { 2 };
    // a topic name with its length, an empty set of properties, the payload
    let remaining = 2 + message.topic.as_str().len() + packet_identifier + 1 + message.payload.len();
    let length_bytes = match remaining {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    1 + length_bytes + remaining
}

impl Pipe {
    /// Waits for the next event. After an error the next call connects anew.
    pub fn next(&mut self) -> Result<Event, Lost> {
        // rumqttc's flush of MQTT 5 has no limit of its own, so a broker that stands still would hold us for ever;
        // a living connection has an event at every PINGREQ, and connecting has a shorter limit
        let silence = 2 * self.connection.eventloop.options.keep_alive() + CONNECT_TIMEOUT;
        match self.connection.recv_timeout(silence) {
            Ok(Ok(event)) => Ok(self.translate(event)),
            Ok(Err(error)) => Err(Lost(words(&error))),
            Err(RecvTimeoutError::Timeout) => {
                self.connection.eventloop.clean();
                Err(Lost(format!("nothing heard for {} s", silence.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Lost("the request queue is closed".to_owned())),
        }
    }

    fn translate(&mut self, event: rumqttc::v5::Event) -> Event {
        use rumqttc::v5::Event::{Incoming, Outgoing as Sent};
        match event {
            Incoming(Packet::ConnAck(connack)) => {
                self.mend_keepalive();
                Event::Connected(limits(&connack))
            }
            Incoming(Packet::SubAck(suback)) => {
                Event::Subscribed(suback.return_codes.iter().map(|&code| granted(code)).collect())
            }
            Incoming(Packet::Publish(message)) => {
                Event::Received(Received { topic: message.topic.into(), payload: message.payload.into() })
            }
            Sent(Outgoing::Disconnect) => Event::Disconnected,
            _ => Event::Other,
        }
    }

    /// A broker that turns keep alive off would have rumqttc send PINGREQ without a pause.
    fn mend_keepalive(&mut self) {
        let options = &mut self.connection.eventloop.options;
        if options.keep_alive().is_zero() {
            options.set_keep_alive(self.keepalive);
        }
    }
}

fn limits(connack: &ConnAck) -> Limits {
    let announced = connack.properties.as_ref();
    Limits {
        max_packet_size: announced.and_then(|properties| properties.max_packet_size).unwrap_or(u32::MAX),
        retain_available: announced.and_then(|properties| properties.retain_available) != Some(0),
    }
}

fn library_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// The granted QoS, or the reason code of a refusal (MQTT 5, 3.9.3).
fn granted(code: SubscribeReasonCode) -> Result<u8, u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos as u8),
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => Err(128),
        SubscribeReasonCode::ImplementationSpecific => Err(131),
        SubscribeReasonCode::NotAuthorized => Err(135),
        SubscribeReasonCode::TopicFilterInvalid => Err(143),
        SubscribeReasonCode::PkidInUse => Err(145),
        SubscribeReasonCode::QuotaExceeded => Err(151),
        SubscribeReasonCode::SharedSubscriptionsNotSupported => Err(158),
        SubscribeReasonCode::SubscriptionIdNotSupported => Err(161),
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => Err(162),
    }
}

fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::Timeout(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        ConnectionError::ConnectionRefused(code) => refused(connack_code(*code)),
        ConnectionError::MqttState(error) => state_words(error),
        other => Printable::new(&other.to_string(), SHOWN).to_string(),
    }
}

fn state_words(error: &StateError) -> String {
    match error {
        StateError::ConnectionAborted => "closed by the broker".to_owned(),
        StateError::AwaitPingResp => "no answer to a PINGREQ within the keep alive time".to_owned(),
        StateError::ServerDisconnect { reason_code, reason_string } => {
            let said = reason_string.as_ref().map(|text| format!(": {}", Printable::new(text, SHOWN)));
            format!("ended by the broker: {}{}", Reason(*reason_code as u8), said.unwrap_or_default())
        }
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => error.to_string(),
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(code)) => refused(*code),
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded { pkt_size, max }) => {
            format!("the broker sent a packet of {pkt_size} bytes, over `max-packet-size` {max}")
        }
        other => Printable::new(&other.to_string(), SHOWN).to_string(),
    }
}

fn refused(code: u8) -> String {
    format!("refused by the broker: {}", Reason(code))
}

/// The code in the CONNACK (MQTT 5, 3.2.2.2).
fn connack_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::UnspecifiedError => 128,
        ConnectReturnCode::MalformedPacket => 129,
        ConnectReturnCode::ProtocolError => 130,
        ConnectReturnCode::ImplementationSpecificError => 131,
        ConnectReturnCode::UnsupportedProtocolVersion => 132,
        ConnectReturnCode::ClientIdentifierNotValid => 133,
        ConnectReturnCode::BadUserNamePassword => 134,
        ConnectReturnCode::NotAuthorized => 135,
        ConnectReturnCode::ServerUnavailable => 136,
        ConnectReturnCode::ServerBusy => 137,
        ConnectReturnCode::Banned => 138,
        ConnectReturnCode::BadAuthenticationMethod => 140,
        ConnectReturnCode::TopicNameInvalid => 144,
        ConnectReturnCode::PacketTooLarge => 149,
        ConnectReturnCode::QuotaExceeded => 151,
        ConnectReturnCode::PayloadFormatInvalid => 153,
        ConnectReturnCode::RetainNotSupported => 154,
        ConnectReturnCode::QoSNotSupported => 155,
        ConnectReturnCode::UseAnotherServer => 156,
        ConnectReturnCode::ServerMoved => 157,
        ConnectReturnCode::ConnectionRateExceeded => 159,
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::Publish;

    use super::*;
    use crate::message::TopicName;

    #[test]
    fn the_size_of_a_packet_is_what_the_library_will_write() {
        for length in [0, 100, 119, 120, 16_372, 16_373, 2_097_141, 2_097_142, 3_000_000] {
            let topic = TopicName::try_from("a/topic".to_owned()).unwrap();
            let payload = vec![0; length];
            let library = Publish::new("a/topic", QoS::AtMostOnce, payload.clone(), None).size();
            let message = Message { topic, payload, qos: Qos::AtMostOnce, retain: false };
            assert_eq!(packet_size(&message), library, "{length}");
        }
    }
}
