//! TLS to the broker: where its certificates and keys are, and what a build makes of them.

#[cfg_attr(not(feature = "tls"), path = "tls/none.rs")]
mod loaded;
#[cfg(feature = "tls")]
mod verifier;

use std::path::PathBuf;

pub use self::loaded::{Tls, Unusable, is_server_name};
#[cfg(feature = "tls")]
pub use self::verifier::Between;

/// Where certificates and keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The authorities that are trusted; without it those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// Our own certificate and its key, if we have them.
    pub client: Option<(PathBuf, Key)>,
}

/// The file of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it is read.
    pub path: PathBuf,
    /// The file by which people know it.
    pub original: PathBuf,
}

/// What cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What the system or the build has.
    System,
    /// The authorities that are trusted.
    Authorities,
    /// Our own certificate.
    Certificate,
    /// Its key.
    Key,
}
