//! What the tables of a session, the connection and the threads that use both share: packet identifiers,
//! acknowledgements, and what a broker says in its CONNACK.

use std::time::Duration;

use crate::message::Message;

/// How many packet identifiers we use, from 1 on: more than `max-inflight` allows. The MQTT client allocates a slot for
/// each.
pub const PACKET_IDENTIFIERS: u16 = 1024;

/// The packets that acknowledge a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "they are the specification's names")]
pub enum Acknowledgement {
    /// Of QoS 1.
    PubAck,
    /// The first half of QoS 2.
    PubRec,
    /// The second half of QoS 2.
    PubComp,
}

/// What a resumed session sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retransmission {
    /// A PUBLISH with its packet identifier.
    Publish(u16, Message),
    /// The PUBREL of a PUBLISH that the broker has received.
    PubRel(u16),
}

/// How much a connection takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Publishes at QoS 1 and 2 that may be unacknowledged at a time. While there are so many, the MQTT client takes
    /// nothing that is handed over, so that QoS 0 waits too.
    pub size: u16,
    /// How many of these may be at QoS 2. The one that would be one too many waits, and all behind it.
    pub exactly_once: u16,
    /// After so many packet identifiers the first one is used again.
    pub cycle: u16,
}

/// The CONNACK of a broker that accepted us.
#[derive(Debug, PartialEq, Eq)]
pub struct Connack {
    /// Whether the broker kept our session.
    pub session_present: bool,
    pub limits: Limits,
    pub terms: Terms,
}

/// What a broker announced that it accepts (MQTT 5, 3.2.2.3); the defaults where it announced nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Publishes at QoS 1 and 2 that it accepts unacknowledged.
    pub receive_maximum: u16,
    /// Publishes at QoS 2 among these, which no broker announces: a limit that we know of.
    pub exactly_once: u16,
    /// Bytes.
    pub max_packet_size: u32,
    /// The highest level of QoS.
    pub max_qos: u8,
    /// Whether it stores retained messages.
    pub retain_available: bool,
    /// Whether it tells for which subscription it sends a message.
    pub subscription_identifiers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            exactly_once: u16::MAX,
            max_packet_size: u32::MAX,
            max_qos: 2,
            retain_available: true,
            subscription_identifiers: false,
        }
    }
}

/// What a broker changed of what our CONNECT asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long the connection may be silent before it is probed (MQTT 5, 3.2.2.3.14).
    pub keepalive: Duration,
    /// The client identifier that it gave us, where we left that to it (MQTT 5, 3.2.2.3.7).
    pub client_id: Option<String>,
}
