//! What a broker or the MQTT client must not do.

use thiserror::Error;

use crate::mqtt::protocol::Acknowledgement;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// For a packet identifier that waits for none, or for another kind.
    #[error("the broker sent an unexpected {kind:?} for packet identifier {packet_identifier}")]
    Acknowledgement { kind: Acknowledgement, packet_identifier: u16 },
    /// The MQTT client sent something else than was handed over.
    #[error("packet identifier {0} was sent for nothing that was handed over")]
    Written(u16),
}
