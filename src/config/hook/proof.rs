//! How the callers of a hook show that they may call it: by a secret in the path, or by a signature.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::keys::{Encoding, HookKeys, HookTable, MAX_SECRETS, Method, Signature};
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::source::Source;
use crate::files::{is_there, read_limited};

/// The longest file of secrets, in bytes.
const MAX_FILE: u64 = 4096;
/// The prefix of the secrets of Standard Webhooks.
const PREFIX: &str = "whsec_";

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
    let given = environment.credential(&credential).filter(|path| is_there(path));
    let (path, position) = match (given, &table.signature_secret_file) {
        (Some(path), _) => (path, format!("credential {credential}")),
        (None, Some(path)) => (source.beside(path), file.position().map(ToString::to_string).unwrap_or_default()),
        (None, None) => {
            let what = format!("{signature} needs a {file}, or the credential {credential}");
            return Err(signature.fault(what));
        }
    };
    let keys = read_keys(&path, &position, scheme == Scheme::Standard)?;
    Ok(Proof::Signature(scheme, keys))
}

/// One secret in each line, which errors never show.
fn read_keys(path: &Path, position: &str, is_standard: bool) -> Result<Vec<Vec<u8>>, Fault> {
    let unreadable = |error: &dyn fmt::Display| format!("`{}` cannot be read: {error}", path.display());
    let bytes =
        read_limited(path, MAX_FILE).map_err(|error| Fault::unreadable(position, unreadable(&error), &error))?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(position, unreadable(&"it is not UTF-8 text")))?;
    let fault = |rule: &str| Fault::new(position, format!("`{}` {rule}", path.display()));
    // some editors write a byte order mark, which is invisible
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if !(1..=MAX_SECRETS).contains(&lines.len()) {
        return Err(fault("must have one secret, or two while one is renewed, each in a line of its own"));
    }
    let key = |line: &&str| {
        if !is_standard {
            return Some(line.as_bytes().to_vec());
        }
        STANDARD.decode(line.strip_prefix(PREFIX).unwrap_or(line)).ok().filter(|key| !key.is_empty())
    };
    let keys: Option<Vec<_>> = lines.iter().map(key).collect();
    keys.ok_or_else(|| fault("must have secrets in base64 with padding, with or without `whsec_` before them"))
}
