//! How urgent the record of a received message is.

use std::fmt;

/// How urgent the record of a message is, from 0, an emergency, to 7, debugging (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority(u8);

impl Priority {
    /// Something failed.
    pub const ERROR: Self = Self(3);
    /// Something may go wrong.
    pub const WARNING: Self = Self(4);
    /// Normal operation.
    pub const INFORMATIONAL: Self = Self(6);
    /// For debugging.
    pub const DEBUG: Self = Self(7);
}

impl Default for Priority {
    fn default() -> Self {
        Self::INFORMATIONAL
    }
}

impl TryFrom<i64> for Priority {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let number = u8::try_from(number).ok().filter(|number| *number <= 7);
        number.map(Self).ok_or("must be a whole number from 0 (emergency) to 7 (debug)")
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
