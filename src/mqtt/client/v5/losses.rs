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

/// How much of a reason string or of a server reference a record shows, in bytes.
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
    match error {
        ConnectionError::Io(error) => Lost::new(transport::io_words(error)),
        ConnectionError::Timeout(_) => Lost::unanswered(is_connected, transport::silence(mqtt)),
        ConnectionError::ConnectionRefused(code) => Lost::refused(connack_code(*code)),
        ConnectionError::MqttState(StateError::Deserialization(error)) => undecoded(error, is_connected),
        ConnectionError::MqttState(error) => lost_by_state(error, is_connected),
        ConnectionError::NotConnAck(_) => Lost::not_a_connack(),
        #[cfg(feature = "websocket")]
        ConnectionError::Websocket(error) => Lost::new(transport::no_websocket(error)),
        #[cfg(feature = "websocket")]
        ConnectionError::ResponseValidation(error) => Lost::new(transport::no_websocket(error)),
        other => Lost::unexplained(other),
    }
}

fn lost_by_state(error: &StateError, is_connected: bool) -> Lost {
    match error {
        StateError::ConnectionAborted => Lost::unanswered(is_connected, "closed by the broker"),
        StateError::WrongPacket => Lost::new("the broker sent a packet of a kind that only clients send"),
        StateError::Unsolicited(packet_identifier) => {
            Lost::new(format!("the broker acknowledged packet identifier {packet_identifier}, which waits for nothing"))
        }
        StateError::Io(error) => Lost::unanswered(is_connected, transport::io_words(error)),
        StateError::ConnFail { reason } => Lost::refused(connack_code(*reason)),
        other => Lost::unexplained(other),
    }
}

/// rumqttc ends the connection over what it cannot decode, including an answer with a reason code that it does not
/// know. So it does over a packet of ours that is too large.
fn undecoded(error: &mqttbytes::Error, is_connected: bool) -> Lost {
    match error {
        mqttbytes::Error::Io(error) => Lost::unanswered(is_connected, transport::io_words(error)),
        mqttbytes::Error::PayloadSizeLimitExceeded { pkt_size, max } => Lost::because(
            Cause::InboundTooLarge,
            format!("the broker sent a packet of {pkt_size} bytes, over the limit of {max}"),
        ),
        mqttbytes::Error::OutgoingPacketTooLarge { pkt_size, max } => {
            Lost::new(format!("our packet of {pkt_size} bytes is over the broker's limit of {max}"))
        }
        mqttbytes::Error::InvalidConnectReturnCode(code) if !is_connected => Lost::refused(*code),
        // of a PUBACK, PUBREC, PUBREL or PUBCOMP: it knows all codes of a DISCONNECT
        mqttbytes::Error::InvalidConnectReturnCode(code) => {
            Lost::coded(Cause::PublishRefused, "the broker refused a publish", *code)
        }
        mqttbytes::Error::InvalidSubscribeReasonCode(code) if is_connected => {
            Lost::coded(Cause::SubscribeRefused, "the broker refused a topic filter", *code)
        }
        // rumqttc decodes no packet without content, and a DISCONNECT is the only one that a broker sends
        mqttbytes::Error::PayloadRequired if is_connected => Lost::new("ended by the broker without a reason"),
        error => Lost::undecodable(is_connected, error),
    }
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
    Lost { words, cause, reason: Some(code) }
}
