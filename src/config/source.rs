//! Where the configuration comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use crate::files::{is_blank, is_there};

/// Where the configuration is looked for when no path is given, first match first.
pub const DEFAULT_PATHS: [&str; 2] = ["bridge.toml", "/etc/mqtt-bridge/bridge.toml"];
/// Where the units have their files.
pub const FOLDER: &str = "/etc/mqtt-bridge";

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A copy that systemd made of a file which the daemon itself may not read.
    Credential {
        /// The copy.
        copy: PathBuf,
        /// The file that users edit: records name it, and relative paths start from its folder.
        original: PathBuf,
    },
    /// No file: every key has its default.
    BuiltIn,
}

impl Source {
    /// The given path, or the first of [`DEFAULT_PATHS`] that exists, or nothing.
    #[must_use]
    pub fn find(given: Option<PathBuf>, environment: &Environment) -> Self {
        let found = || DEFAULT_PATHS.iter().map(PathBuf::from).find(|path| is_there(path));
        match given.or_else(found) {
            None => Self::BuiltIn,
            Some(path) => match original(&path, environment) {
                None => Self::File(path),
                // the unit provides an empty credential where there is no file
                Some(original) if !is_there(&original) && is_blank(&path) => Self::BuiltIn,
                Some(original) => Self::Credential { copy: path, original },
            },
        }
    }

    /// The file that users edit.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Credential { original: path, .. } => Some(path),
            Self::BuiltIn => None,
        }
    }

    /// A relative path starts from the folder of the configuration file, wherever the daemon was started; for a
    /// credential from that of its original, so that `--check` on the original finds the same file as the unit.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.path().and_then(Path::parent).unwrap_or(Path::new("")).join(path)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("built-in defaults"),
        }
    }
}

/// The file that the unit made a credential of: both have the same name, and the units' files are in [`FOLDER`].
fn original(path: &Path, environment: &Environment) -> Option<PathBuf> {
    let name = path.strip_prefix(environment.credential("")?).ok()?;
    Some(Path::new(FOLDER).join(name))
}
