//! The state of a topic filter at the broker.

use crate::message::Qos;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    Absent,
    Subscribing {
        qos: Qos,
        /// What was granted before.
        before: Option<u8>,
    },
    Subscribed {
        requested: Qos,
        granted: u8,
    },
    Refused(u8),
    /// It is not subscribed to, as connections ended over it.
    LeftOut,
    Unsubscribing,
}

impl BrokerState {
    /// What the broker granted.
    pub fn granted(self) -> Option<u8> {
        match self {
            Self::Subscribed { granted, .. } | Self::Subscribing { before: Some(granted), .. } => Some(granted),
            _ => None,
        }
    }

    /// Whether the broker has it, or may have it.
    pub fn may_be_subscribed(self) -> bool {
        !matches!(self, Self::Absent | Self::Refused(_) | Self::LeftOut)
    }
}
