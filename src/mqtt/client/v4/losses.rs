//! From rumqttc's errors in MQTT 3.1.1 to causes and words.

use rumqttc::mqttbytes;
use rumqttc::{ConnectionError, StateError};

use super::options::FLUSH_TIMEOUT;
use crate::config::Mqtt;
use crate::mqtt::client::lost::{Cause, Lost};
use crate::mqtt::client::transport;

/// Why connecting failed, or an established connection ended.
pub fn lost(error: &ConnectionError, mqtt: &Mqtt, is_connected: bool) -> Lost {
    if let Some(words) = transport::tls_failure(error, mqtt, is_connected) {
        return Lost::new(words);
    }
    match error {
        ConnectionError::Io(error) => Lost::new(transport::io_words(error)),
        ConnectionError::NetworkTimeout => Lost::unanswered(is_connected, transport::silence(mqtt)),
        ConnectionError::FlushTimeout => {
            Lost::new(format!("the broker did not take a packet within {} s", FLUSH_TIMEOUT.as_secs()))
        }
        ConnectionError::ConnectionRefused(code) => Lost::refused(*code as u8),
        ConnectionError::MqttState(StateError::Deserialization(error)) => undecoded(error, is_connected),
        ConnectionError::MqttState(error) => lost_by_state(error, is_connected),
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
        other => Lost::unexplained(other),
    }
}

fn undecoded(error: &mqttbytes::Error, is_connected: bool) -> Lost {
    match error {
        mqttbytes::Error::Io(error) => Lost::unanswered(is_connected, transport::io_words(error)),
        mqttbytes::Error::PayloadSizeLimitExceeded(size) => {
            Lost::because(Cause::InboundTooLarge, format!("the broker sent a packet of {size} bytes, over the limit"))
        }
        mqttbytes::Error::InvalidSubscribeReasonCode(code) if is_connected => {
            Lost::coded(Cause::SubscribeRefused, "the broker refused a topic filter", *code)
        }
        error => Lost::undecodable(is_connected, error),
    }
}
