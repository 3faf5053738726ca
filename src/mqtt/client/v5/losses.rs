//! From rumqttc's errors in MQTT 5 to causes and words.

use std::error::Error;

use rumqttc::v5::mqttbytes;
use rumqttc::v5::{ConnectionError, StateError};

use super::codes::connack_code;
use crate::config::Mqtt;
use crate::mqtt::client::lost::{Cause, Lost};
use crate::mqtt::client::transport;
use crate::mqtt::reason::{PACKET_TOO_LARGE, Reason};
use crate::printable::Printable;

/// How much of a reason string or of the words of an error a record shows, in bytes.
const SHOWN: usize = 256;

/// The reason code of a DISCONNECT (MQTT 5, 3.14.2.1).
const SESSION_TAKEN_OVER: u8 = 142;

/// Why connecting failed, or an established connection ended.
pub fn lost(error: &ConnectionError, mqtt: &Mqtt, is_connected: bool) -> Lost {
    let cause: &(dyn Error + 'static) = match error {
        // this one does not return its cause as its source
        ConnectionError::MqttState(StateError::Deserialization(cause)) => cause,
        other => other,
    };
    if let Some(words) = transport::tls_failure(cause, mqtt, is_connected) {
        return Lost::new(words);
    }
    let not_answered = if is_connected { Cause::Closed } else { Cause::NoConnack };
    match error {
        ConnectionError::Io(error) => Lost::new(transport::io_words(error)),
        ConnectionError::Timeout(_) => Lost::because(not_answered, transport::silence(mqtt)),
        ConnectionError::ConnectionRefused(code) => refused(connack_code(*code)),
        ConnectionError::MqttState(error) => lost_by_state(error, not_answered),
        ConnectionError::NotConnAck(_) => Lost::not_a_connack(),
        #[cfg(feature = "websocket")]
        ConnectionError::Websocket(error) => Lost::new(transport::no_websocket(error)),
        #[cfg(feature = "websocket")]
        ConnectionError::ResponseValidation(error) => Lost::new(transport::no_websocket(error)),
        ConnectionError::RequestsDone => Lost::new("the request queue is closed"),
        #[cfg(any(feature = "tls", feature = "websocket"))]
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
        StateError::ConnFail { reason } => refused(connack_code(*reason)),
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(code))
            if not_answered == Cause::NoConnack =>
        {
            refused(*code)
        }
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded { pkt_size, max }) => Lost::because(
            Cause::InboundTooLarge,
            format!("the broker sent a packet of {pkt_size} bytes, over the limit of {max}"),
        ),
        StateError::OutgoingPacketTooLarge { pkt_size, max }
        | StateError::Deserialization(mqttbytes::Error::OutgoingPacketTooLarge { pkt_size, max }) => {
            Lost::new(format!("our packet of {pkt_size} bytes is over the broker's limit of {max}"))
        }
        // rumqttc decodes no packet without content, and a DISCONNECT is the only one that a broker sends
        StateError::Deserialization(mqttbytes::Error::PayloadRequired) if not_answered == Cause::Closed => {
            Lost::new("ended by the broker without a reason")
        }
        StateError::Deserialization(error) => undecodable(error, not_answered),
        other => Lost::new(Printable::new(&other.to_string(), SHOWN).to_string()),
    }
}

/// rumqttc ends the connection over what it cannot decode, including an answer with a reason code that it does not
/// know.
fn undecodable(error: &mqttbytes::Error, not_answered: Cause) -> Lost {
    let unknown_code = |cause, whose, code| {
        Lost::because(cause, format!("the broker refused {whose}: {}", Reason(code))).with_reason(code)
    };
    match error {
        _ if not_answered == Cause::NoConnack => Lost::because(not_answered, not_decoded(error)),
        // of a PUBACK, PUBREC, PUBREL or PUBCOMP: it knows all codes of a DISCONNECT
        mqttbytes::Error::InvalidConnectReturnCode(code) => unknown_code(Cause::PublishRefused, "a publish", *code),
        mqttbytes::Error::InvalidSubscribeReasonCode(code) => {
            unknown_code(Cause::SubscribeRefused, "a topic filter", *code)
        }
        error => Lost::because(Cause::Undecodable, not_decoded(error)),
    }
}

fn not_decoded(error: &mqttbytes::Error) -> String {
    format!("the broker sent a packet that cannot be decoded: {}", Printable::new(&error.to_string(), SHOWN))
}

fn refused(code: u8) -> Lost {
    let cause = if matches!(code, 1 | 132) { Cause::Version } else { Cause::Other };
    Lost::because(cause, format!("refused by the broker: {}", Reason(code))).with_reason(code)
}

/// From a DISCONNECT with this reason code, reason string and server reference; the error of rumqttc has no reference.
pub fn disconnected(code: u8, words: Option<&String>, reference: Option<&String>) -> Lost {
    let words = words.map(|text| format!(": {}", Printable::new(text, SHOWN))).unwrap_or_default();
    let reference = reference.map(|server| format!("; it refers to {}", Printable::new(server, SHOWN)));
    let cause = match code {
        SESSION_TAKEN_OVER => Cause::TakenOver,
        PACKET_TOO_LARGE => Cause::OutboundTooLarge,
        _ => Cause::Other,
    };
    let words = format!("ended by the broker: {}{words}{}", Reason(code), reference.unwrap_or_default());
    Lost::because(cause, words).with_reason(code)
}
