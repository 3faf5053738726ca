//! mqtt-bridge: `POST /publish` puts a message on an MQTT broker, and what the broker sends goes to the journal.
//!
//! This is the library of the daemon `mqtt-bridge`, for its binary, its quickstart and its tests; its interface may
//! change with each version. To use the bridge, run the daemon: the README and `docs/` of the repository say how.
//!
//! [`prepare()`] reads the configuration and takes the sockets, [`Bridge::start`] starts the threads that serve, and
//! [`Bridge::stop`] ends them in order.

mod bridge;
mod prepare;
mod stop;

pub mod config;
pub mod message;
pub mod tls;

pub mod http;
pub mod mqtt;
pub mod outbox;
pub mod webhook;

mod backoff;
mod files;
pub mod instance_id;
mod jitter;
pub mod journal;
pub mod memory;
pub mod metrics;
mod passing;
pub mod printable;
#[cfg(test)]
mod proptests;
pub mod request_id;
mod signature;
mod similar;
mod socket;
pub mod standard;
mod suspensions;
pub mod systemd;
pub mod thread;

pub use self::bridge::Bridge;
pub use self::prepare::{Prepared, StartError, check, prepare};
