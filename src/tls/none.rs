//! TLS to the broker in a build without it: there is none, and whoever asks for it is told so.

use thiserror::Error;

use super::{Files, Role};

/// What would make a connection one with TLS: there is no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {}

/// Why there is no TLS.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("this build has no TLS: build it with its default features")]
pub struct Unusable {
    /// What it is about.
    pub role: Role,
    /// The same file may do later.
    pub may_pass: bool,
}

/// Whether a certificate can be for this name or address at all: that is not the question here.
#[must_use]
pub fn is_server_name(_: &str) -> bool {
    true
}

impl Tls {
    /// Reads nothing.
    ///
    /// # Errors
    /// In any case.
    pub fn load(_: Files, _: Vec<String>) -> Result<Self, Unusable> {
        Err(Unusable { role: Role::System, may_pass: false })
    }

    /// Where certificates and keys are.
    #[must_use]
    pub fn files(&self) -> &Files {
        match *self {}
    }
}
