//! The configuration: `bridge.toml`, the environment and credentials, checked and turned into ready types.
//!
//! Each table declares its keys once, in its own file, with the kind of each value and its default (see `table.rs`).
//! What reads TOML, what reads variables, what suggests names and what words errors all go by that declaration.
//! `[mqtt]`, `[mqtt.tls]` and `[mqtt.will]` declare their keys likewise, but the fields of [`Mqtt`] are declared beside
//! them: there, several keys make one field, such as `user`, `password` and `password-file` a [`Login`]. A name is
//! written a second time only in the text of a rule across tables, and where `tls` reads a file again at run time.

// where it comes from, and its faults
mod document;
mod environment;
mod fault;
mod source;
mod syntax;

// how keys are declared and read
#[macro_use]
mod kind;
mod key;
#[macro_use]
mod table;
mod variables;

// the tables
mod hook;
mod http;
mod log;
mod mqtt;
mod outbox;
mod publish;
mod secret;
mod secret_file;
mod subscription;
mod token;
mod webhook;

mod load;

pub use self::environment::Environment;
pub use self::fault::Fault;
pub use self::hook::{Encoding, Hook, HookTable, Method, Proof, Scheme};
pub use self::http::{Http, Listen};
pub use self::load::Config;
pub use self::log::{Log, LogFormat};
pub use self::mqtt::{Login, Mqtt, Place, Protocol, RECEIVE_MAXIMUM, Secret, Server, Session, Will};
pub use self::outbox::Outbox;
pub use self::publish::Publish;
pub use self::secret::{NewSecretError, hash, new_hook, new_token};
pub use self::source::{DEFAULT_PATHS, Source};
pub use self::subscription::Subscription;
pub use self::token::{MAX_FILTER_BYTES, MAX_FILTERS, Sees, Token};
pub use self::webhook::{SigningKey, Url, Webhook, WebhookFormat};

#[cfg(test)]
mod tests;
