//! mqtt-bridge: `POST /publish` puts a message on an MQTT broker, and what the broker sends goes to the journal.

pub mod config;
pub mod message;
pub mod tls;

pub mod http;
pub mod mqtt;

pub mod instance_id;
mod jitter;
pub mod journal;
pub mod memory;
pub mod metrics;
mod passing;
pub mod printable;
pub mod request_id;
mod similar;
mod socket;
pub mod standard;
pub mod systemd;
pub mod thread;

use std::io;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::config::{Config, Environment, Fault, Log, Source};
use crate::http::{BindError, Listener, Server, Tokens};
use crate::mqtt::{Presence, Publisher, Subscriber};
use crate::systemd::{Service, Vitals};
use crate::thread::{Events, Watch};

/// How long a stop waits for the first requests of connections that were accepted before it.
const LAST_CALL: Duration = Duration::from_millis(300);
/// How long a stop may take beyond its timeout to write answers that are known.
const ANSWERING: Duration = Duration::from_secs(5);

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    servers: Vec<Server>,
    publisher: Publisher,
    subscriber: Subscriber,
    presence: Presence,
    service: Service,
    timeout: Duration,
}

/// Why the bridge cannot start as it is configured.
#[derive(Debug, Error)]
pub enum StartError {
    /// What is written.
    #[error("{0}")]
    Fault(#[source] Fault, Log),
    /// Where it is to listen, and how that is recorded.
    #[error("{0}")]
    Bind(#[source] BindError, Log),
}

impl StartError {
    /// Whether the same configuration may do later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fault(fault, _) => fault.may_pass(),
            Self::Bind(error, _) => error.may_pass(),
        }
    }

    /// How it is recorded, as far as that is known.
    #[must_use]
    pub fn log(&self) -> Log {
        match self {
            Self::Fault(_, log) | Self::Bind(_, log) => *log,
        }
    }
}

/// Reads the configuration and takes the sockets: what a start needs, whether there is a broker or not.
///
/// # Errors
/// The first thing that is wrong.
pub fn prepare(source: &Source, environment: &Environment) -> Result<(Config, Vec<Listener>), StartError> {
    let config = load(source, environment)?;
    match http::listen(&config.http, !config.tokens.is_empty()) {
        Ok(listeners) => Ok((config, listeners)),
        Err(error) => Err(StartError::Bind(error, config.log)),
    }
}

/// Whether [`prepare`] would succeed, without taking anything. Returns what is to be told all the same: warnings, and what may
/// be over when it is tried.
///
/// # Errors
/// What would keep the same configuration from being used at any time.
pub fn check(source: &Source, environment: &Environment) -> Result<Vec<String>, StartError> {
    let config = load(source, environment)?;
    let mut told = config.warnings;
    match http::check(&config.http, !config.tokens.is_empty()) {
        // by a bridge that runs, as far as anybody knows
        Err(error) if error.is_taken() => {}
        Err(error) if error.may_pass() => told.push(format!("{error}; a start would wait for that")),
        Err(error) => return Err(StartError::Bind(error, config.log)),
        Ok(()) => {}
    }
    Ok(told)
}

fn load(source: &Source, environment: &Environment) -> Result<Config, StartError> {
    // of a file with a fault nothing is believed
    Config::load(source, environment).map_err(|fault| StartError::Fault(fault, Log::of(environment)))
}

impl Bridge {
    /// Serves requests and connects to the broker; a broker that is not there does not keep it from starting.
    /// The end of each thread is told to `watch`.
    ///
    /// # Errors
    /// If the system lacks something, in words that say what.
    pub fn start(config: &Config, listeners: Vec<Listener>, watch: &Watch) -> io::Result<Self> {
        let (publisher, subscriber, presence) = mqtt::start(config, watch)?;
        let tokens = Tokens::new(config, publisher.memory());
        let open = |listener| {
            let words = format!("listening on {listener}");
            let server = http::serve(listener, config, &tokens, &publisher, &subscriber, watch)?;
            log::info!("{words}");
            Ok(server)
        };
        let servers = listeners.into_iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let service = systemd::start(watch, vitals(servers.clone(), &publisher, &subscriber))?;
        Ok(Self { servers, publisher, subscriber, presence, service, timeout: config.publish.timeout })
    }

    /// Where requests go, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.first().map(Server::to_string).unwrap_or_default()
    }

    /// How long [`Self::stop`] may take.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        self.timeout + ANSWERING
    }

    /// Refuses new requests, lets what was accepted be settled, and ends the connection with a DISCONNECT; all that
    /// within the timeout of a publish. Answers that are known by then are written, however many they are.
    pub fn stop(self, events: &Events) {
        let start = Instant::now();
        self.service.stopping(self.stop_timeout());
        // the broker's and the workers' share, whatever the publishes need
        let share = (self.timeout / 4).min(Duration::from_secs(1));
        let (drained, end) = (start + self.timeout.saturating_sub(share), start + self.timeout);
        self.servers.iter().for_each(Server::stop_accepting);
        // those who were let in before are not turned away
        let last_call = start + (self.timeout / 10).min(LAST_CALL);
        self.servers.iter().for_each(|server| server.await_first_requests(last_call));
        self.publisher.stop_accepting();
        self.subscriber.stop_accepting();
        log::info!("stopping");
        self.publisher.drain(drained);
        self.subscriber.drain(drained);
        self.subscriber.leave_groups(drained);
        // what is recorded is acknowledged before the end, and does not come again
        let _ = journal::flush((Instant::now() + share / 2).min(drained + share / 8));
        self.subscriber.forget_run_time(drained + share / 8);
        // without a DISCONNECT the broker publishes the will, which says the same
        let disconnecting = self.presence.leave(drained + share / 4) && self.publisher.disconnect();
        self.publisher.end();
        if disconnecting && events.await_ends(mqtt::THREAD, 1, drained + share / 2) > 0 {
            log::warn!("the broker did not take our DISCONNECT in time");
        }
        // what is pipelined behind a request gets its turn, and its refusal, when that is answered
        let idle = drained + share * 3 / 4;
        for server in &self.servers {
            let _ = server.await_idle(idle);
        }
        self.servers.iter().for_each(|server| server.end(end));
        self.servers.iter().for_each(Server::end_replies);
        let _ = events.await_ends(http::REPLY_THREAD, self.servers.len(), end + ANSWERING);
        let running: usize = self.servers.iter().map(|server| server.await_idle(Instant::now())).sum();
        if running > 0 {
            log::warn!(
                "{running} requests were not complete after {} s: they get no answer",
                self.timeout.as_secs_f64()
            );
        }
    }
}

/// The bridge lives while it answers requests at all of its servers and the thread of the connection keeps its word.
fn vitals(servers: Vec<Server>, publisher: &Publisher, subscriber: &Subscriber) -> Vitals {
    let (asked, checked) = (subscriber.clone(), publisher.clone());
    let check = move |deadline| {
        for server in &servers {
            server.probe(deadline).map_err(|error| format!("{server} does not answer: {error}"))?;
        }
        checked.overdue().map_or(Ok(()), |_| Err("the MQTT thread hangs".to_owned()))
    };
    Vitals { status: Box::new(move || asked.status().to_string()), check: Box::new(check) }
}
