//! What the other side must not do.

use thiserror::Error;

use crate::mqtt::protocol::Acknowledgement;

/// What the other side must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// Of a packet identifier that waits for none, or for another kind.
    #[error("the broker sent an unexpected {kind:?} for packet identifier {packet_identifier}")]
    Acknowledgement {
        /// Which packet.
        kind: Acknowledgement,
        /// Whose.
        packet_identifier: u16,
    },
    /// The library sent something else than was handed over.
    #[error("packet identifier {0} was sent for nothing that was handed over")]
    Written(u16),
}
