//! What may be wanted of a topic filter, and what is told of it.

use crate::message::{Qos, TopicFilter};

/// What somebody wants of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its messages go to the journal, until [`Want::Unsubscribed`].
    Recorded(Qos),
    /// They no longer do.
    Unsubscribed,
    /// A reader gets its messages, until it leaves.
    Read {
        /// What it asks for.
        qos: Qos,
        /// Whether it wants those that the broker keeps.
        retained: bool,
    },
    /// Answers to requests are awaited, until the asker leaves.
    Answers,
}

impl Want {
    /// The quality of service that it needs; `None` where it needs nothing.
    pub fn qos(self) -> Option<Qos> {
        match self {
            Self::Recorded(qos) | Self::Read { qos, .. } => Some(qos),
            Self::Answers => Some(Qos::AtLeastOnce),
            Self::Unsubscribed => None,
        }
    }
}

/// Who wants a filter first of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration.
    File,
    /// Whoever asked for it at run time.
    Api,
    /// Readers.
    Listener,
    /// Askers.
    Request,
}

/// What is known of one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub filter: TopicFilter,
    /// What is asked for.
    pub qos: Qos,
    /// What the broker answered on this connection: the granted QoS or a reason code.
    pub answer: Option<Result<u8, u8>>,
    /// Who wants it.
    pub source: Source,
    /// How many readers it has.
    pub readers: usize,
    /// It is left out for a while, as connections ended over it.
    pub is_left_out: bool,
}
