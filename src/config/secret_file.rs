//! Files that have secrets: one in a line, or the file as a whole. Faults never show any of it.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::environment::Environment;
use super::fault::Fault;
use super::key::Slot;
use super::source::Source;
use crate::files::{is_there, read_limited};

/// The most secrets that are in use at a time: the old one and the new one.
pub const MAX_SECRETS: usize = 2;
/// The longest file of keys, in bytes.
const MAX_KEYS_FILE: u64 = 4096;
/// The prefix of the secrets of Standard Webhooks.
const PREFIX: &str = "whsec_";

/// A file and where it was named, for faults.
pub struct SecretFile {
    path: PathBuf,
    position: String,
}

impl SecretFile {
    /// A file at a position of the configuration, which has the `path`.
    pub fn new(path: PathBuf, position: String) -> Self {
        Self { path, position }
    }

    /// A credential if there is one, and else the file that the key names.
    pub fn find(
        credential: &str,
        key: &Slot,
        path: Option<&String>,
        source: &Source,
        environment: &Environment,
    ) -> Option<Self> {
        match environment.credential(credential).filter(|path| is_there(path)) {
            Some(path) => Some(Self::new(path, format!("credential {credential}"))),
            None => path.map(|path| Self::new(source.beside(path), position(key))),
        }
    }

    /// The only line of the file; one line end after it is not part of the secret. `name` is what faults call it.
    pub fn line(&self, limit: u64, name: &str) -> Result<String, Fault> {
        let text = self.text(limit)?;
        let secret = text.strip_suffix('\n').unwrap_or(&text);
        if secret.contains('\n') {
            return Err(self.fault(&format!("must be the {name} alone, with one line end behind it at most")));
        }
        Ok(secret.strip_suffix('\r').unwrap_or(secret).to_owned())
    }

    /// The keys of signatures, one in each line: as they are, or in base64 as Standard Webhooks has them.
    pub fn keys(&self, is_standard: bool) -> Result<Vec<Vec<u8>>, Fault> {
        let text = self.text(MAX_KEYS_FILE)?;
        // some editors write a byte order mark, which is invisible
        let text = text.trim_start_matches('\u{feff}');
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if !(1..=MAX_SECRETS).contains(&lines.len()) {
            return Err(self.fault("must have one secret, or two while one is renewed, each in a line of its own"));
        }
        let key = |line: &&str| {
            if !is_standard {
                return Some(line.as_bytes().to_vec());
            }
            STANDARD.decode(line.strip_prefix(PREFIX).unwrap_or(line)).ok().filter(|key| !key.is_empty())
        };
        let keys: Option<Vec<_>> = lines.iter().map(key).collect();
        keys.ok_or_else(|| self.fault("must have secrets in base64 with padding, with or without `whsec_` before them"))
    }

    fn text(&self, limit: u64) -> Result<String, Fault> {
        let unreadable = |error: &dyn fmt::Display| format!("{} cannot be read: {error}", shown(&self.path));
        let bytes = read_limited(&self.path, limit)
            .map_err(|error| Fault::unreadable(&self.position, unreadable(&error), &error))?;
        String::from_utf8(bytes).map_err(|_| Fault::new(&self.position, unreadable(&"it is not UTF-8 text")))
    }

    /// What the file must have.
    pub fn fault(&self, rule: &str) -> Fault {
        Fault::new(&self.position, format!("{} {rule}", shown(&self.path)))
    }
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// Where the value of a key is, if it has one.
pub fn position(key: &Slot) -> String {
    key.position().map(ToString::to_string).unwrap_or_default()
}
