//! Environment variables.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::fault::Fault;

/// Environment variables of this process or of a test. Has no `Debug`: one of them is a password.
#[derive(Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The text of a variable; a value that is not UTF-8 is a fault.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        let text = self.value(name).map(|value| value.to_owned().into_string());
        text.transpose().map_err(|_| Fault::new(name, "is not valid UTF-8"))
    }

    /// The names that are set and start with `prefix`, sorted.
    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        let names = self.0.keys().filter_map(|name| name.to_str());
        let set = names.filter(|name| name.starts_with(prefix) && self.value(name).is_some());
        let mut names: Vec<String> = set.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The path of a credential, if systemd passes any (systemd.exec(5), `LoadCredential=`).
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        self.value("CREDENTIALS_DIRECTORY").map(|directory| Path::new(directory).join(name))
    }

    /// The folder that systemd makes for what the service keeps, if the unit has one (systemd.exec(5),
    /// `StateDirectory=`). Of several it is the first.
    pub(super) fn state_folder(&self) -> Option<PathBuf> {
        let folders = self.value("STATE_DIRECTORY")?;
        folders.as_bytes().split(|&byte| byte == b':').next().map(|first| OsStr::from_bytes(first).into())
    }

    /// `None` if it is not set, or empty: a compose file passes on variables that are not set as empty ones.
    fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

impl<'a, T: AsRef<[(&'a str, &'a str)]>> From<T> for Environment {
    fn from(variables: T) -> Self {
        Self(variables.as_ref().iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
