//! Why a topic filter is subscribed to.

use crate::message::Qos;

/// What a caller wants of a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Its messages go to the journal, until [`Interest::Unsubscribe`].
    Record(Qos),
    /// Its messages no longer go to the journal.
    Unsubscribe,
    /// A reader gets its messages, until it leaves.
    Read {
        /// The requested QoS.
        qos: Qos,
        /// Whether it wants retained messages.
        retained: bool,
    },
    /// A reader gets the retained message of a topic, for which the filter is subscribed to (again).
    Fetch(Qos),
    /// A requester awaits responses, until it leaves.
    Responses,
}

impl Interest {
    /// The quality of service that it needs; `None` where it needs no subscription.
    pub fn qos(self) -> Option<Qos> {
        match self {
            Self::Record(qos) | Self::Read { qos, .. } | Self::Fetch(qos) => Some(qos),
            Self::Responses => Some(Qos::AtLeastOnce),
            Self::Unsubscribe => None,
        }
    }

    /// Whether a reader has it.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read { .. } | Self::Fetch(_))
    }
}
