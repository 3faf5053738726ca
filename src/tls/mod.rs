//! TLS to the broker and to endpoints: where its certificates and keys are, and what a build makes of them.

mod files;
#[cfg_attr(not(feature = "tls"), path = "none.rs")]
mod loaded;
#[cfg(feature = "tls")]
mod verifier;

pub use self::files::{Files, Key, Role};
pub use self::loaded::{Tls, Unusable, is_server_name};
#[cfg(feature = "tls")]
pub use self::verifier::Between;
