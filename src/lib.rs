//! mqtt-bridge: `POST /publish` puts a message on an MQTT broker, and what the broker sends goes to the journal.

pub mod config;
pub mod message;

pub mod printable;
