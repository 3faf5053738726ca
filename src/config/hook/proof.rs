//! How the callers of a hook show that they may call it: by a secret in the path, or by a signature.

use std::fmt;

use super::keys::{Encoding, HookKeys, HookTable, Method, Signature};
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::secret_file::SecretFile;
use crate::config::source::Source;

/// How the callers of a hook show that they may call it.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The path ends with a secret that has one of these hashes.
    Path(Vec<[u8; 32]>),
    /// The request is signed with one of these keys.
    Signature(Scheme, Vec<Vec<u8>>),
}

/// What is signed, and which header has the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// As GitHub signs its webhooks.
    Github,
    /// As Stripe signs its webhooks.
    Stripe,
    /// As Standard Webhooks specifies.
    Standard,
    /// The body alone.
    Body {
        /// The header that has the signature.
        header: String,
        /// How the signature is written.
        encoding: Encoding,
    },
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(_) => f.write_str("Path(..)"),
            Self::Signature(scheme, _) => write!(f, "Signature({scheme:?}, ..)"),
        }
    }
}

pub fn read(keys: &HookKeys, table: &HookTable, source: &Source, environment: &Environment) -> Result<Proof, Fault> {
    let HookKeys { secret_sha256, signature, header, encoding, signature_secret_file: file, .. } = keys;
    if let Some(slot) = [&**header, &**encoding].into_iter().find(|slot| slot.value.is_some())
        && table.signature != Some(Signature::HmacSha256)
    {
        return Err(slot.fault(format!("{slot} must be left out unless {signature} is \"hmac-sha256\"")));
    }
    let Some(scheme) = table.signature else {
        if file.value.is_some() {
            return Err(file.fault(format!("{file} needs a {signature}")));
        }
        if table.secret_sha256.is_empty() {
            let what = format!("this [[hook]] needs {secret_sha256} or {signature}: else everybody could call it");
            return Err(keys.name.fault(what));
        }
        return Ok(Proof::Path(table.secret_sha256.clone()));
    };
    if secret_sha256.value.is_some() {
        return Err(secret_sha256.fault(format!("{secret_sha256} and {signature} must not both be there")));
    }
    if table.methods != [Method::Post] {
        return Err(signature.fault(format!("{signature} needs {} to be [\"POST\"]: it signs a body", keys.methods)));
    }
    let scheme = match scheme {
        Signature::Github => Scheme::Github,
        Signature::Stripe => Scheme::Stripe,
        Signature::Standard => Scheme::Standard,
        Signature::HmacSha256 => {
            let missing = || signature.fault(format!("{signature} needs a {header} that has the signature"));
            let header = table.header.clone().ok_or_else(missing)?;
            Scheme::Body { header, encoding: table.encoding }
        }
    };
    let credential = format!("hook-{}", table.name);
    let found = SecretFile::find(&credential, file, table.signature_secret_file.as_ref(), source, environment);
    let missing = || signature.fault(format!("{signature} needs a {file}, or the credential {credential}"));
    let keys = found.ok_or_else(missing)?.keys(scheme == Scheme::Standard)?;
    Ok(Proof::Signature(scheme, keys))
}
