//! What is shown of stored messages.

use super::{Id, Settlement, Stored};

/// The state of a stored message, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not sent.
    Queued,
    /// Sent, and not acknowledged.
    Sent,
    /// The broker has it.
    Acknowledged,
    /// Its time was over.
    Expired,
    /// The broker, or a limit, refused it.
    Refused,
}

/// A message at one moment.
#[derive(Debug)]
pub struct View {
    /// Its identifier.
    pub id: Id,
    /// Its state.
    pub state: State,
    /// What is on disk.
    pub stored: Stored,
}

/// Which messages are asked for.
#[derive(Debug)]
pub struct Query {
    /// Only those of this owner; `None` for all.
    pub owner: Option<Box<str>>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those behind this one.
    pub after: Option<Id>,
    /// At most so many.
    pub limit: usize,
}

/// A part of the messages that were asked for, in the order in which they were stored.
#[derive(Debug)]
pub struct Page {
    /// How many there are in each state, in the order of [`State::ALL`].
    pub counts: [u64; 5],
    /// Bytes of those that are queued or sent.
    pub bytes: u64,
    /// The messages.
    pub messages: Vec<View>,
    /// The last one, if more may follow.
    pub next: Option<Id>,
}

/// What became of the wish to take a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// It is not sent, and forgotten.
    Done,
    /// There is none, or none that one may see.
    Unknown,
    /// One may not publish to its topic.
    Denied,
    /// Too late: it was sent, or has ended.
    Not(State),
}

impl State {
    /// In the order of their declaration, with their names.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Queued, "queued"),
        (Self::Sent, "sent"),
        (Self::Acknowledged, "acknowledged"),
        (Self::Expired, "expired"),
        (Self::Refused, "refused"),
    ];

    /// As it is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl From<Settlement> for State {
    fn from(settlement: Settlement) -> Self {
        match settlement {
            Settlement::Acknowledged => Self::Acknowledged,
            Settlement::Expired => Self::Expired,
            Settlement::Refused => Self::Refused,
        }
    }
}
