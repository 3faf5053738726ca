//! The hooks of the configuration, which all listening sockets share: who may call one, and its signed identifiers.

mod browsers;
mod replays;
mod signature;

use std::time::SystemTime;

use subtle::ConstantTimeEq;

pub use self::browsers::{is_browser, is_prefetch};
pub use self::replays::{Begun, Replays};
pub use self::signature::{Denied, verify};

use crate::config::{HookTable, Proof, hash};
use crate::http::server::{Head, Responder};

/// One hook.
#[derive(Debug)]
pub struct Hook {
    pub table: HookTable,
    proof: Proof,
    /// The calls whose identifier was signed, each with those that repeat it.
    pub replays: Replays<Responder>,
}

impl Hook {
    pub fn new(table: HookTable, proof: Proof) -> Self {
        Self { table, proof, replays: Replays::default() }
    }

    /// Whether the rest of the path is what the hook expects there: its secret, or nothing if calls are signed. The
    /// comparison takes the same time for each wrong secret.
    pub fn is_called_by(&self, secret: Option<&str>) -> bool {
        match (&self.proof, secret) {
            (Proof::Path(hashes), Some(secret)) => {
                let hash = hash(secret);
                hashes.iter().fold(false, |found, known| found | bool::from(known.ct_eq(&hash)))
            }
            (Proof::Signature(..), None) => true,
            (Proof::Path(_), None) | (Proof::Signature(..), Some(_)) => false,
        }
    }

    /// Checks the signature of a call, if the hook needs one. Returns the identifier of the call, if it is signed too.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, head: Head, body: &[u8]) -> Result<Option<String>, Denied> {
        match &self.proof {
            Proof::Path(_) => Ok(None),
            Proof::Signature(scheme, keys) => verify(scheme, keys, |name| head.field(name), body, SystemTime::now()),
        }
    }
}
