//! Where certificates and keys are.

use std::path::PathBuf;

/// Where certificates and keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificates of trusted authorities; `None` for those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// The client certificate and its key, if there is one.
    pub client: Option<(PathBuf, Key)>,
}

/// The file of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it is read.
    pub path: PathBuf,
    /// The file that errors name: for a credential, the file that systemd copied.
    pub original: PathBuf,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What the system or the build has.
    System,
    /// The certificates of trusted authorities.
    Authorities,
    /// The client certificate.
    Certificate,
    /// The key of the client certificate.
    Key,
}
