//! mqtt-bridge: `POST /publish` puts a message on an MQTT broker, and what the broker sends goes to the journal.

pub mod config;
pub mod message;

pub mod http;
pub mod mqtt;

pub mod journal;
pub mod printable;
pub mod thread;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::config::Config;
use crate::http::{BindError, Listener};
use crate::mqtt::Publisher;
use crate::thread::{Events, Watch};

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    listener: Listener,
    publisher: Publisher,
    timeout: Duration,
}

/// Why the bridge could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A fault of the configuration.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system's.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl Bridge {
    /// Listens for requests and connects to the broker; a broker that is not there does not keep it from starting.
    /// The end of each thread is told to `watch`.
    ///
    /// # Errors
    /// If the address cannot be listened on, or there are no threads to be had.
    pub fn start(config: &Config, watch: &Watch) -> Result<Self, StartError> {
        let listener = Listener::bind(config)?;
        let publisher = mqtt::start(config, watch)?;
        listener.serve(config, &publisher, watch)?;
        log::info!("listening on http://{}", listener.address());
        Ok(Self { listener, publisher, timeout: config.publish.timeout })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// How long [`Self::stop`] may take.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        self.timeout
    }

    /// Refuses new requests, lets what was accepted be settled, and ends the connection with a DISCONNECT; all that
    /// within the timeout of a publish.
    pub fn stop(self, events: &Events) {
        let start = Instant::now();
        // the broker's and the workers' share, whatever the publishes need
        let share = (self.timeout / 4).min(Duration::from_secs(1));
        let (drained, end) = (start + self.timeout.saturating_sub(share), start + self.timeout);
        self.publisher.stop_accepting();
        self.listener.stop_accepting();
        log::info!("stopping");
        self.publisher.drain(drained);
        let disconnecting = self.publisher.disconnect();
        if disconnecting && events.await_ends(mqtt::THREAD, 1, drained + share / 2) > 0 {
            log::warn!("the broker did not take our DISCONNECT in time");
        }
        // what is pipelined behind a request gets its turn, and its refusal, when that is answered
        self.listener.await_idle(drained + share * 3 / 4);
        self.listener.end();
        let running = events.await_ends(http::WORKERS, self.listener.workers(), end);
        if running > 0 {
            log::warn!(
                "{running} requests were not complete after {} s: they get no answer",
                self.timeout.as_secs_f64()
            );
        }
        self.listener.end_replies();
        let _ = events.await_ends(http::REPLY_THREAD, 1, end);
    }
}
