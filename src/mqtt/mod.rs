//! The connection to the broker.
//!
//! A message goes `publisher` → `in_flight` → `pipe` (`v4` or `v5` by a `transport`, which alone name rumqttc) →
//! broker; an answer goes broker → `pipe` → `connection` → `in_flight` → the caller, who is told an `outcome`. What
//! others publish goes broker → `pipe` → `connection` → `received` → the journal, and back when it is written there;
//! and by `subscriber`, as its `subscriptions` tell, to the `channel` of each filter and to those whose `requests` it
//! answers. That we are there is a message too, `presence`'s.

mod publisher;
mod subscriber;

mod driver;
mod inbound;
mod session;

mod client;

mod outcome;
mod presence;
mod protocol;
pub mod reason;
mod status;

use std::io;

pub use outcome::{Failure, NoAnswer, Outcome, Published, Refusal};
pub use presence::Presence;
pub use publisher::{Caller, Publisher};
pub use session::subscriptions::{Answer, Source, Standing};
pub use session::topic_buffer::{Batch, Event, Held, Missed, Start};
pub use status::{History, Settings, Status};
pub use subscriber::{Listener, Subscriber};

use crate::config::Config;
use crate::thread::Watch;

/// The name of the thread that drives the connection.
pub const THREAD: &str = "mqtt";

/// The name of the thread that tells callers when their time is over, and that of the other one, for those who subscribe,
/// listen and ask.
const CLOCK: &str = "clock";
const SECOND_CLOCK: &str = "clock-2";

/// Starts the threads that connect, and stay connected, until the publisher is told to disconnect.
///
/// # Errors
/// If the system has no thread to give.
pub fn start(config: &Config, watch: &Watch) -> io::Result<(Publisher, Subscriber, Presence)> {
    let publisher = Publisher::new(config);
    let subscriber = Subscriber::new(config, publisher.clone());
    let presence = Presence::new(config, publisher.clone());
    let driver = driver::Driver::new(config, publisher.clone(), subscriber.clone(), presence.clone());
    watch.spawn(THREAD, move || {
        driver.run();
        Ok(())
    })?;
    let clock = publisher.clone();
    watch.spawn(CLOCK, move || {
        clock.run_clock();
        Ok(())
    })?;
    let clock = subscriber.clone();
    watch.spawn(SECOND_CLOCK, move || {
        clock.run_clock();
        Ok(())
    })?;
    Ok((publisher, subscriber, presence))
}
