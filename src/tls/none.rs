//! TLS in a build without it: a configuration that asks for it is an error.

use thiserror::Error;

use super::files::{Files, Role};

/// What a TLS connection would be made with; it has no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {}

/// Why there is no TLS.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("this build has no TLS: build it with its default features")]
pub struct Unusable {
    /// What it is about.
    pub role: Role,
    /// Whether the same file may work later.
    pub may_pass: bool,
}

/// Whether a certificate can be for this name or address. Without TLS this does not matter.
#[must_use]
pub fn is_server_name(_: &str) -> bool {
    true
}

impl Tls {
    /// Always fails.
    ///
    /// # Errors
    /// Always.
    pub fn load(_: Files, _: Vec<String>) -> Result<Self, Unusable> {
        Err(Unusable { role: Role::System, may_pass: false })
    }

    /// Where certificates and keys are.
    #[must_use]
    pub fn files(&self) -> &Files {
        match *self {}
    }
}
