//! The connection to the broker: what goes out through [`Publisher`], what drives it, and what comes in.
//!
//! A message goes `publisher` → `v5` → broker; an answer goes broker → `v5` → `connection` → `subscriptions` or
//! `received`. Only `v5` names rumqttc.

mod publisher;

mod connection;
mod subscriptions;

mod backoff;
mod reason;
mod v5;

use std::io;

pub use publisher::{Publisher, Refusal};

use crate::config::Config;
use crate::thread::Watch;

/// The name of the thread that drives the connection.
pub const THREAD: &str = "mqtt";

/// Starts the thread that connects, and stays connected, until the publisher is told to stop.
///
/// # Errors
/// If the system has no thread to give.
pub fn start(config: &Config, watch: &Watch) -> io::Result<Publisher> {
    let publisher = Publisher::new(config.mqtt.max_packet_size);
    let driver = connection::Driver::new(config, publisher.clone());
    watch.spawn(THREAD, move || {
        driver.run();
        Ok(())
    })?;
    Ok(publisher)
}

/// A message from the broker.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    /// UTF-8 if the broker keeps to the specification.
    topic: Vec<u8>,
    payload: Vec<u8>,
}

/// What a broker announced that it accepts, in its CONNACK (MQTT 5, 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    max_packet_size: u32,
    retain_available: bool,
}

/// What happens on a connection.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// The broker accepted us.
    Connected(Limits),
    /// The broker answered our SUBSCRIBE: for each filter the granted QoS or a reason code.
    Subscribed(Vec<Result<u8, u8>>),
    /// A message came in.
    Received(Received),
    /// Our DISCONNECT is on its way, after everything that was handed over before it.
    Disconnected,
    /// Nothing that concerns us.
    Other,
}
