//! The version of MQTT that is spoken, and what depends on it.

use super::connection::{Connection, Sender};
use super::{packet_size, v4, v5};
use crate::config::{Mqtt, Protocol, Session};
use crate::message::Message;

/// MQTT 3.1.1 or 5.
#[derive(Debug, Clone, Copy)]
pub struct Version(Protocol);

impl Version {
    /// The configured one.
    pub fn of(mqtt: &Mqtt) -> Self {
        Self(mqtt.protocol)
    }

    /// A connection that is yet to be made; each try to connect needs one of its own.
    pub fn open(self, mqtt: &Mqtt, session: Session) -> (Box<dyn Sender>, Box<dyn Connection>) {
        match self.0 {
            Protocol::V311 => v4::open(mqtt, session),
            Protocol::V5 => v5::open(mqtt, session),
        }
    }

    /// The size of a whole PUBLISH packet in bytes.
    pub fn packet_size(self, message: &Message) -> usize {
        match self.0 {
            Protocol::V311 => packet_size::v4(message),
            Protocol::V5 => packet_size::v5(message),
        }
    }

    /// Whether a message may have properties, and an acknowledgement a reason code.
    pub fn has_properties(self) -> bool {
        self.0 == Protocol::V5
    }
}
