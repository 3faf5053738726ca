//! From rumqttc's errors in MQTT 3.1.1 to causes and words.

use rumqttc::mqttbytes;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::options::FLUSH_TIMEOUT;
use crate::config::Mqtt;
use crate::mqtt::client::lost::{Cause, Lost};
use crate::mqtt::client::transport;
use crate::mqtt::reason::Reason;
use crate::printable::Printable;

/// How much of the words of an error a record shows, in bytes.
const SHOWN: usize = 256;

/// Why connecting failed, or an established connection ended.
pub fn lost(error: &ConnectionError, mqtt: &Mqtt, is_connected: bool) -> Lost {
    if let Some(words) = transport::tls_failure(error, mqtt, is_connected) {
        return Lost::new(words);
    }
    let not_answered = if is_connected { Cause::Closed } else { Cause::NoConnack };
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
