//! A fault of the configuration, in one line.

use std::fmt;

use thiserror::Error;

use crate::passing;

/// A fault of the configuration: one line that says where, what is wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{position}: {what}")]
pub struct Fault {
    /// `PATH:LINE`, `PATH`, the name of an environment variable or of a credential.
    position: String,
    what: String,
    may_pass: bool,
}

impl Fault {
    pub(super) fn new(position: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { position: position.to_string(), what: what.into(), may_pass: false }
    }

    /// A file that the configuration names cannot be read.
    pub(super) fn unreadable(position: impl fmt::Display, what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(position, what).passing(passing::may_pass(error))
    }

    pub(super) fn passing(self, may_pass: bool) -> Self {
        Self { may_pass, ..self }
    }

    /// Whether the same configuration may work later, as when a file is on a file system that is yet to be mounted.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}
