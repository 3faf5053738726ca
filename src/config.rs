//! The configuration: `bridge.toml`, the environment and credentials, checked and turned into ready types.

mod client_id;
mod file;
mod location;
mod mqtt;
mod parser;
mod password;
mod table;
mod token;
mod value;
mod will;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use thiserror::Error;

pub use self::mqtt::{Login, Mqtt, Place, Protocol, Server, Session, Will};
pub use self::token::{NewTokenError, hash, new_token};
pub use self::value::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::message::{Priority, Qos, TopicFilter};
use crate::passing::may_pass;

/// Where the configuration is looked for when no path is given, first match first.
pub const DEFAULT_PATHS: [&str; 2] = ["bridge.toml", "/etc/mqtt-bridge/bridge.toml"];
/// Where the units have their files.
const FOLDER: &str = "/etc/mqtt-bridge";

/// Everything that the daemon can be told, valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[mqtt]`: the connection to the broker.
    pub mqtt: Mqtt,
    /// `[[subscribe]]`: what is received.
    pub subscribe: Vec<Subscription>,
    /// `[publish]`: what holds for every publish.
    pub publish: Publish,
    /// `[http]`: where and how requests are served.
    pub http: Http,
    /// `[[token]]`: who may do what; if there is none, everybody may do everything.
    pub tokens: Vec<Token>,
    /// `[log]`: what is recorded, and how.
    pub log: Log,
    /// What is no fault and is to be told all the same.
    pub warnings: Vec<String>,
}

/// `[log]`: our own records, and the form of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// From which level on our own are written.
    pub level: LevelFilter,
    /// Of the lines on standard error.
    pub format: LogFormat,
    /// Whether these lines have the time.
    pub time: bool,
}

/// What a line on standard error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A sentence.
    Text,
    /// An object of JSON.
    Json,
}

impl Log {
    /// What the environment says, as far as that can be read.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let said = |name| environment.text(name).ok().flatten().map(toml::Value::String);
        let (format, time) = (said("MQTT_BRIDGE_LOG_FORMAT"), said("MQTT_BRIDGE_LOG_TIME"));
        let default = Self::default();
        Self {
            format: format.and_then(|text| value::log_format(&text).ok()).unwrap_or(default.format),
            time: time.and_then(|text| text.as_str()?.parse().ok()).unwrap_or(default.time),
            ..default
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LevelFilter::Info, format: LogFormat::Text, time: true }
    }
}

/// One `[[subscribe]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// What is subscribed to.
    pub topic: TopicFilter,
    /// The quality of service asked for; the broker may grant less.
    pub qos: Qos,
    /// Of the records of its messages; where several filters match, the first one's counts.
    pub priority: Priority,
}

/// What holds for every publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// How long a publish may take that does not say so itself, and what is running when the daemon is told to stop.
    pub timeout: Duration,
    /// The longest time that a publish may ask for.
    pub max_timeout: Duration,
    /// Publishes that are accepted and not yet settled.
    pub max_waiting: usize,
}

/// Where and how requests are served.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Where to listen.
    pub listen: Listen,
    /// Threads that take requests.
    pub workers: usize,
    /// The longest body of a request, in bytes.
    pub max_body: usize,
    /// Connections that are open at a time.
    pub max_connections: usize,
    /// Streams of received messages that are open at a time.
    pub max_listeners: usize,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a request may take to arrive, from its first byte to its last.
    pub request_timeout: Duration,
    /// Whether anybody may publish where strangers can reach us and there are no tokens.
    pub allow_anonymous: bool,
    /// Names and addresses that we may be called by beside those of loopback, in lower case; IPv6 without brackets.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call us, as browsers write them.
    pub allowed_origins: Vec<String>,
}

/// Where requests are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One `[[token]]`: what the bearer of a secret may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What error texts call it; no other token has it.
    pub name: String,
    /// SHA-256 of the secret; no other token has it.
    pub sha256: [u8; 32],
    /// Where it may publish; none of them is shared.
    pub publish: Vec<TopicFilter>,
    /// What it may read; none of them is shared.
    pub subscribe: Vec<TopicFilter>,
    /// Where answers to its messages may be published, beside `publish`; none of them is shared.
    pub response_topics: Vec<TopicFilter>,
    /// Messages per second, above 0; `None` is no limit.
    pub rate: Option<f64>,
    /// Topic filters that it may have at run time.
    pub max_subscriptions: usize,
    /// Streams of received messages that it may have open at a time.
    pub max_listeners: usize,
    /// Its publishes and requests that may be unanswered at a time.
    pub max_waiting: usize,
    /// What it is told of others.
    pub sees: Sees,
}

/// What the bearer of a token is told of the filters and the listeners of others, and of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Everything.
    All,
    /// Nothing but what it has itself.
    Own,
}

/// Text that is never shown.
#[derive(Clone, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the broker's eyes only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A fault of the configuration: one line that says where, what is wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {what}")]
pub struct Fault {
    /// `PATH:LINE`, `PATH`, the name of an environment variable or of a credential.
    place: String,
    what: String,
    may_pass: bool,
}

impl Fault {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), may_pass: false }
    }

    /// Of a file that the configuration names.
    fn unreadable(place: impl Into<String>, what: impl Into<String>, error: &std::io::Error) -> Self {
        Self { may_pass: may_pass(error), ..Self::new(place, what) }
    }

    /// Whether the same configuration may do later, as where a file is on a file system that is yet to be mounted.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A copy that systemd made of a file which we may not read ourselves.
    Credential {
        /// The copy.
        copy: PathBuf,
        /// The file by which people know it, and which everything but reading is about.
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
                // the unit's own text for a file that is not there
                Some(original) if !is_there(&original) && is_blank(&path) => Self::BuiltIn,
                Some(original) => Self::Credential { copy: path, original },
            },
        }
    }

    /// The file as people know it.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Credential { original: path, .. } => Some(path),
            Self::BuiltIn => None,
        }
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

/// The file that the unit made a credential of: they have the same name, and the units' files are in [`FOLDER`].
fn original(path: &Path, environment: &Environment) -> Option<PathBuf> {
    let name = path.strip_prefix(environment.path("CREDENTIALS_DIRECTORY")?).ok()?;
    Some(Path::new(FOLDER).join(name))
}

fn is_blank(path: &Path) -> bool {
    read_limited(path, MAX_FILE).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

/// Whether there is something at a path, be it unreadable: what is there must not be passed over in silence.
fn is_there(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound)
}

/// Environment variables, as found or as a test has them. Never shown: one of them is a password.
#[derive(Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// `None` if it is not set, or empty, as a variable is that a compose file passes on from where it was not set; a
    /// value that is not UTF-8 is a fault.
    fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(value) = self.0.get(OsString::from(name).as_os_str()).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let what = "is not valid UTF-8";
        let text = value.clone().into_string().map_err(|_| Fault::new(name, what))?;
        Ok(Some(text))
    }

    /// The names that begin so and are set, in order.
    fn names(&self, prefix: &str) -> Vec<String> {
        let names = self.0.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| name.to_str());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// `None` if it is not set, or empty.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(OsString::from(name).as_os_str()).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self::of(&variables)
    }
}

impl Config {
    /// Reads and checks everything that can be checked without a network.
    ///
    /// # Errors
    /// The first fault found.
    pub fn load(source: &Source, environment: &Environment) -> Result<Self, Fault> {
        match source {
            Source::BuiltIn => Self::parse("", source, environment),
            Source::File(path) | Source::Credential { copy: path, .. } => {
                let place = source.to_string();
                let bytes = read_limited(path, MAX_FILE).map_err(|error| {
                    let unreadable = Fault::unreadable(&place, format!("cannot be read: {error}"), &error);
                    // whoever names it is there
                    Fault { may_pass: unreadable.may_pass && error.kind() != ErrorKind::NotFound, ..unreadable }
                })?;
                let text = std::str::from_utf8(&bytes).map_err(|error| {
                    let line = bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count();
                    Fault::new(format!("{place}:{line}"), "must be UTF-8 text")
                })?;
                Self::parse(text, source, environment)
            }
        }
    }

    /// The same for a text that was read from `source`.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(text: &str, source: &Source, environment: &Environment) -> Result<Self, Fault> {
        file::read(text, source, environment)
    }
}

/// The longest configuration file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The whole of a file, unless it is longer than `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
