//! Why a connection ended, or did not come about.

use thiserror::Error;

/// Why a connection ended, or did not come about, in printable words.
#[derive(Debug, Error)]
#[error("{words}")]
pub struct Lost {
    words: String,
    /// The likely cause, where it is one that we react to.
    pub cause: Cause,
    /// The reason code of the broker.
    reason_code: Option<u8>,
}

/// The causes that make a difference for the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Any other.
    Other,
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
        Self { words: words.into(), cause, reason_code: None }
    }

    /// The answer to our CONNECT was another packet.
    pub fn not_a_connack() -> Self {
        Self::because(Cause::NoConnack, "the broker answered our CONNECT with something else than a CONNACK")
    }

    pub fn with_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    pub fn with_reason(self, code: u8) -> Self {
        Self { reason_code: Some(code), ..self }
    }

    /// The reason code of the broker.
    pub fn reason(&self) -> Option<u8> {
        self.reason_code
    }

    /// The same for a field of a record; empty if there is none.
    pub fn reason_code(&self) -> String {
        self.reason_code.map(|code| code.to_string()).unwrap_or_default()
    }
}
