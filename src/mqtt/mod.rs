//! The MQTT side: one connection to the broker, shared by everything that publishes and subscribes.
//!
//! # A publish
//!
//! 1. An HTTP worker calls [`Publisher::publish`] with a message and a caller that waits for the outcome.
//!    `publisher/mod.rs`
//! 2. The message gets an entry in the table of unsettled messages, in which it waits. `session/in_flight/`
//! 3. If the connection is ready and the window has room, the message is handed over at once, by the worker; otherwise
//!    later, by the thread that made room. At QoS 0 the caller is told now: [`Published::HandedOver`].
//!    `publisher/dispatch.rs`
//! 4. The thread `mqtt` writes the packet and reads the acknowledgement. `driver/established/`, `client/`
//! 5. The acknowledgement finds the entry by its packet identifier, and the caller is told the [`Outcome`]. A caller
//!    whose deadline has come is told by the thread `clock`. `session/in_flight/`, `outcome/`
//! 6. When the connection is lost, its entries wait again or are owed to the resumed session. The thread `mqtt`
//!    connects again, sends what is owed, subscribes, and goes on with 3. `driver/`
//!
//! # A received message
//!
//! 1. The thread `mqtt` reads it. `client/`, `driver/established/`
//! 2. The topic filters that match it say where it goes. `inbound/mod.rs`, `session/subscriptions/routing.rs`
//! 3. It is put into the queue of the journal, if a filter of the configuration or of `/subscribe` matches. When it is
//!    written there, it is acknowledged to the broker. `inbound/mod.rs`
//! 4. If it is the answer to a request, the caller of the request gets it. `subscriber/`, `session/requests.rs`
//! 5. It is put into the buffer of each filter that somebody listens to. `subscriber/`, `session/topic_buffer/`
//!
//! # Who knows what
//!
//! `session/` has the tables and does no I/O. `publisher/` and `subscriber/` put a lock around them, for all threads.
//! `client/` is the MQTT client, and alone knows the crate behind it. `driver/` is the thread `mqtt`. `protocol.rs` is
//! what all of these share. `presence.rs` publishes whether the bridge is connected, and `status.rs` tells the state of
//! it all.

mod publisher;
mod subscriber;

mod consumer;

mod driver;
mod inbound;
mod presence;

mod session;

mod client;

mod outcome;
mod protocol;
mod status;

use std::io;
use std::sync::Arc;

pub use consumer::Consumer;
pub use driver::THREAD;
pub use inbound::{Backlog, Delivery, Inbox};
pub use outcome::reason;
pub use outcome::{Failure, NoAnswer, Outcome, Published, Refusal};
pub use presence::Presence;
pub use publisher::{Caller, Callers, OnWritten, Publisher, StoredPublish};
pub use session::subscriptions::{Answer, FilterStatus, Source};
pub use session::topic_buffer::{Batch, BufferedMessage, Handle, Missed, Start};
pub use status::{History, Settings, Status};
pub use subscriber::{Listener, Subscriber};

use self::driver::Driver;
use self::session::clock::Clock;
use crate::config::Config;
use crate::thread::Watch;

/// Starts the threads, which connect and stay connected until [`Publisher::disconnect`] or [`Publisher::end`].
///
/// # Errors
/// If the system cannot create a thread.
pub fn start(config: &Config, watch: &Watch) -> io::Result<(Publisher, Subscriber, Presence)> {
    let clock = Arc::new(Clock::default());
    let publisher = Publisher::new(config, clock.clone());
    let subscriber = Subscriber::new(config, publisher.clone(), clock.clone());
    let presence = Presence::new(config, publisher.clone());
    let driver = Driver::new(config, publisher.clone(), subscriber.clone(), presence.clone());
    driver.spawn(clock, "", watch)?;
    Ok((publisher, subscriber, presence))
}
