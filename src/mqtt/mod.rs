//! The connection to the broker.
//!
//! A message goes `publisher` → `in_flight` → `pipe` (`v4` or `v5`, which alone name rumqttc) → broker; an answer goes
//! broker → `pipe` → `connection` → `in_flight` → the caller, who is told an `outcome`, or to `subscriptions`, or by
//! `received` to the journal, and back when it is written there.

mod publisher;

mod in_flight;
mod outcome;

mod connection;
mod received;
mod subscriptions;

mod pipe;
mod v4;
mod v5;
mod version;

mod backoff;
mod reason;

mod heartbeat;
mod status;

use std::io;

pub use outcome::{Failure, Outcome, Published};
pub use publisher::{Caller, Publisher};
pub use status::{History, Settings, Status};

use crate::config::Config;
use crate::thread::Watch;

/// The name of the thread that drives the connection.
pub const THREAD: &str = "mqtt";

/// The name of the thread that tells callers when their time is over.
const CLOCK: &str = "clock";

/// Starts the threads that connect, and stay connected, until the publisher is told to disconnect.
///
/// # Errors
/// If the system has no thread to give.
pub fn start(config: &Config, watch: &Watch) -> io::Result<Publisher> {
    let publisher = Publisher::new(config);
    let driver = connection::Driver::new(config, publisher.clone());
    watch.spawn(THREAD, move || {
        driver.run();
        Ok(())
    })?;
    let clock = publisher.clone();
    watch.spawn(CLOCK, move || {
        clock.run_clock();
        Ok(())
    })?;
    Ok(publisher)
}
