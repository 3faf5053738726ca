//! What is known of the connection, for those who ask: in one line, or in full.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::protocol::Terms;
use super::reason::Reason;
use super::session::subscriptions::{Source, Standing};
use crate::config::{Config, Protocol};
use crate::printable::Printable;
use crate::{journal, metrics};

/// How much of a topic filter is shown, in bytes.
const SHOWN: usize = 200;

/// What does not change.
#[derive(Debug)]
pub struct Settings {
    /// `HOST:PORT` of the broker.
    pub broker: String,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// Our name at the broker; where it is empty, the broker gives one.
    pub client_id: String,
    /// When the bridge started.
    pub started: Instant,
}

/// What happened to the connection so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// `None` while there is no connection.
    pub connected_since: Option<SystemTime>,
    /// How long the connection may be silent before it is probed; `None` while there is none.
    pub keepalive: Option<Duration>,
    /// The name that the broker gave us.
    pub assigned_client_id: Option<String>,
    /// Connections that came about after the first.
    pub reconnects: u64,
    /// Why the last connection ended or did not come about, in printable words, and when.
    pub last_error: Option<(String, SystemTime)>,
    was_connected: bool,
}

/// What is known of the connection at one moment.
#[derive(Debug)]
pub struct Status {
    /// What does not change.
    pub settings: Arc<Settings>,
    /// What happened so far.
    pub history: History,
    /// Publishes that the broker takes unacknowledged, by its own word.
    pub receive_maximum: Option<u16>,
    /// The same as far as we make use of it; `None` where nothing can be published.
    pub window: Option<u16>,
    /// Publishes that were accepted and are not yet settled.
    pub waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_waiting: Duration,
    /// Publishes that were sent and are not acknowledged.
    pub unacknowledged: usize,
    /// Nothing more is accepted.
    pub stopping: bool,
    /// Every topic filter that is wanted.
    pub subscriptions: Arc<[Standing]>,
    /// Streams of messages that are open.
    pub listeners: usize,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            broker: config.mqtt.address(),
            protocol: config.mqtt.protocol,
            client_id: config.mqtt.client_id.clone(),
            started: Instant::now(),
        }
    }
}

impl History {
    pub(super) fn connected(&mut self, terms: Terms) {
        if self.was_connected {
            self.reconnects += 1;
            metrics::reconnected();
        }
        (self.was_connected, self.connected_since) = (true, Some(SystemTime::now()));
        (self.keepalive, self.assigned_client_id) = (Some(terms.keepalive), terms.client_id);
    }

    pub(super) fn disconnected(&mut self) {
        (self.connected_since, self.keepalive, self.assigned_client_id) = (None, None, None);
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.last_error = Some((error.to_owned(), SystemTime::now()));
    }
}

impl Status {
    /// The topic filters of the configuration.
    pub fn configured(&self) -> impl Iterator<Item = &Standing> {
        self.subscriptions.iter().filter(|standing| standing.source == Source::File)
    }

    /// How many of them the broker granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.configured().filter(|standing| matches!(standing.answer, Some(Ok(_)))).count()
    }

    /// What keeps the bridge from doing all that it is configured for.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.stopping {
            return Some("the bridge is stopping".to_owned());
        }
        if self.history.connected_since.is_none() {
            return Some(self.connection());
        }
        let missing = self.configured().find_map(|standing| {
            let topic = Printable::new(standing.filter.as_str(), SHOWN);
            match standing.answer {
                _ if standing.is_left_out => {
                    Some(format!("subscription to {topic} left out for a while, as the connection ended over it"))
                }
                Some(Ok(_)) => None,
                Some(Err(code)) => Some(format!("subscription to {topic} refused: {}", Reason(code))),
                None => Some(format!("not subscribed to {topic}")),
            }
        });
        let missing = missing.or_else(|| self.configured().next().and_then(|_| unrecorded()));
        missing.or_else(|| self.window.is_none().then(|| format!("{}, not yet ready", self.connection())))
    }

    fn connection(&self) -> String {
        let broker = &self.settings.broker;
        match (self.history.connected_since, &self.history.last_error) {
            (Some(_), _) => format!("connected to {broker}"),
            (None, Some((error, _))) => format!("not connected to {broker}: {error}"),
            (None, None) => format!("connecting to {broker}"),
        }
    }

    /// For Prometheus.
    #[must_use]
    pub fn metrics(&self) -> metrics::State {
        metrics::State {
            connected: self.history.connected_since.is_some(),
            subscriptions: self.configured().count(),
            granted: self.granted(),
            left_out: self.subscriptions.iter().filter(|standing| standing.is_left_out).count(),
            waiting: self.waiting,
            oldest_waiting: self.oldest_waiting,
            unacknowledged: self.unacknowledged,
            listeners: self.listeners,
        }
    }
}

/// One line, for people who look at a table of services.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopping {
            f.write_str("stopping, ")?;
        }
        let (granted, wanted) = (self.granted(), self.configured().count());
        write!(f, "{}, {granted}/{wanted} subscribed, {} waiting", self.connection(), self.waiting)
    }
}

/// Why what comes from the broker is not recorded, if that is so. The log cannot tell.
fn unrecorded() -> Option<String> {
    journal::fault().map(|fault| format!("received messages are not recorded: {fault}"))
}
