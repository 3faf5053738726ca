//! Why a connection ended, or did not come about.

use std::error::Error;

use crate::mqtt::reason::Reason;
use crate::printable::Printable;

/// How much of the words of an error a record shows, in bytes.
const SHOWN: usize = 256;

/// Why a connection ended, or did not come about, in printable words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Lost {
    pub words: String,
    /// The likely cause, where it is one that we react to.
    pub cause: Cause,
    /// The reason code of the broker.
    pub reason: Option<u8>,
}

/// The causes that make a difference for the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Any other.
    Other,
    /// We ended it, to be sent again what had found no room.
    Left,
    /// The broker sent a packet over the limit for what comes in.
    InboundTooLarge,
    /// The broker sent a packet that cannot be decoded.
    Undecodable,
    /// The broker answered a publish with a reason code that rumqttc does not know.
    PublishRefused,
    /// The broker ended the connection over the size of a packet of ours.
    OutboundTooLarge,
    /// The broker answered a SUBSCRIBE or an UNSUBSCRIBE with a reason code that rumqttc does not know.
    SubscribeRefused,
    /// The broker closed the connection without a reason.
    Closed,
    /// The same, after a packet of ours that may be why.
    ClosedOverPacket,
    /// The same, instead of an answer to our SUBSCRIBE.
    ClosedOverSubscribe,
    /// The broker said that another client with our client identifier has connected.
    TakenOver,
    /// The broker said that it does not speak our version of MQTT.
    Version,
    /// The broker ended the connection or stayed silent instead of answering our CONNECT. Some brokers do that when
    /// they do not know our version.
    NoConnack,
}

impl Lost {
    /// With [`Cause::Other`].
    pub fn new(words: impl Into<String>) -> Self {
        Self::because(Cause::Other, words)
    }

    pub fn because(cause: Cause, words: impl Into<String>) -> Self {
        Self { words: words.into(), cause, reason: None }
    }

    /// The broker closed the connection, or stayed silent.
    pub fn unanswered(is_connected: bool, words: impl Into<String>) -> Self {
        Self::because(if is_connected { Cause::Closed } else { Cause::NoConnack }, words)
    }

    /// The answer to our CONNECT was another packet.
    pub fn not_a_connack() -> Self {
        Self::because(Cause::NoConnack, "the broker answered our CONNECT with something else than a CONNACK")
    }

    /// The answer to our CONNECT was this code: 1 in MQTT 3.1.1 and 132 in MQTT 5 are about the version.
    pub fn refused(code: u8) -> Self {
        let cause = if matches!(code, 1 | 132) { Cause::Version } else { Cause::Other };
        Self::coded(cause, "refused by the broker", code)
    }

    /// The broker sent a reason code.
    pub fn coded(cause: Cause, words: &str, code: u8) -> Self {
        Self { words: format!("{words}: {}", Reason(code)), cause, reason: Some(code) }
    }

    /// The broker sent a packet that rumqttc does not decode, for this reason.
    pub fn undecodable(is_connected: bool, error: &dyn Error) -> Self {
        let words = Self::unexplained(error).words;
        let cause = if is_connected { Cause::Undecodable } else { Cause::NoConnack };
        Self::because(cause, format!("the broker sent a packet that cannot be decoded: {words}"))
    }

    /// In the words of rumqttc.
    pub fn unexplained(error: &dyn Error) -> Self {
        Self::new(Printable::new(&error.to_string(), SHOWN).to_string())
    }

    /// The reason code for a field of a record; empty if there is none.
    pub fn reason_code(&self) -> String {
        self.reason.map(|code| code.to_string()).unwrap_or_default()
    }
}
