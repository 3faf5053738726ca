//! The state of the connection and of the subscriptions: for `/status`, `/readyz`, `/metrics`, and in one line for
//! systemd.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::protocol::Terms;
use super::reason::Reason;
use super::session::subscriptions::{FilterStatus, Source};
use crate::config::{Config, Protocol};
use crate::printable::Printable;
use crate::{journal, metrics};

/// How much of a topic filter is shown, in bytes.
const SHOWN: usize = 200;

/// The part that does not change.
#[derive(Debug)]
pub struct Settings {
    /// `HOST:PORT` of the broker.
    pub broker: String,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// Where it is empty, the broker assigns one.
    pub client_id: String,
    /// " for webhook NAME", or nothing.
    pub purpose: String,
    /// When the bridge was started.
    pub started: Instant,
}

/// What has happened to the connection so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// `None` while there is no connection.
    pub connected_since: Option<SystemTime>,
    /// How long the connection may be silent before it is probed; `None` while there is none.
    pub keepalive: Option<Duration>,
    /// The client identifier that the broker assigned.
    pub assigned_client_id: Option<String>,
    /// Connections after the first.
    pub reconnects: u64,
    /// Why the last connection ended or did not come about, in printable text, and when.
    pub last_error: Option<(String, SystemTime)>,
    was_connected: bool,
}

/// The state at one moment.
#[derive(Debug)]
pub struct Status {
    /// The part that does not change.
    pub settings: Arc<Settings>,
    /// What has happened so far.
    pub history: History,
    /// Publishes that the broker accepts unacknowledged, as it announced.
    pub receive_maximum: Option<u16>,
    /// How many of these we use; `None` while nothing can be published.
    pub window: Option<u16>,
    /// Publishes that were accepted and have no outcome yet.
    pub waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_waiting: Duration,
    /// Publishes that were sent and are not acknowledged.
    pub unacknowledged: usize,
    /// A stop has begun.
    pub stopping: bool,
    /// Every topic filter, of the configuration and of run time.
    pub subscriptions: Arc<[FilterStatus]>,
    /// Open streams of messages.
    pub listeners: usize,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            broker: config.mqtt.address(),
            protocol: config.mqtt.protocol,
            client_id: config.mqtt.client_id.clone(),
            purpose: config.mqtt.named(""),
            started: Instant::now(),
        }
    }
}

impl History {
    pub(super) fn connected(&mut self, terms: Terms) {
        if self.was_connected {
            self.reconnects += 1;
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
    pub fn configured(&self) -> impl Iterator<Item = &FilterStatus> {
        self.subscriptions.iter().filter(|filter_status| filter_status.source == Source::File)
    }

    /// How many of these the broker granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.configured().filter(|filter_status| matches!(filter_status.answer, Some(Ok(_)))).count()
    }

    /// Why the bridge is not ready, if it is not.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.stopping {
            return Some("the bridge is stopping".to_owned());
        }
        let missing = self.missing_subscription();
        let missing = missing.or_else(|| self.configured().next().and_then(|_| unrecorded()));
        missing.or_else(|| self.window.is_none().then(|| format!("{}, not yet ready", self.connection())))
    }

    /// Why the messages of a configured topic filter are not received, if they are not.
    #[must_use]
    pub fn missing_subscription(&self) -> Option<String> {
        if self.history.connected_since.is_none() {
            return Some(self.connection());
        }
        self.configured().find_map(|filter_status| {
            let topic = Printable::new(filter_status.filter.as_str(), SHOWN);
            match filter_status.answer {
                _ if filter_status.is_left_out => {
                    Some(format!("subscription to {topic} left out for a while, as the connection ended over it"))
                }
                Some(Ok(_)) => None,
                Some(Err(code)) => Some(format!("subscription to {topic} refused: {}", Reason(code))),
                None => Some(format!("not subscribed to {topic}")),
            }
        })
    }

    fn connection(&self) -> String {
        let broker = &self.settings.broker;
        match (self.history.connected_since, &self.history.last_error) {
            (Some(_), _) => format!("connected to {broker}"),
            (None, Some((error, _))) => format!("not connected to {broker}: {error}"),
            (None, None) => format!("connecting to {broker}"),
        }
    }

    /// The part that is a metric.
    #[must_use]
    pub fn metrics(&self) -> metrics::State {
        metrics::State {
            connected: self.history.connected_since.is_some(),
            subscriptions: self.configured().count(),
            granted: self.granted(),
            left_out: self.subscriptions.iter().filter(|filter_status| filter_status.is_left_out).count(),
            waiting: self.waiting,
            oldest_waiting: self.oldest_waiting,
            unacknowledged: self.unacknowledged,
            listeners: self.listeners,
            reconnects: self.history.reconnects,
            webhooks: Vec::new(),
            idempotency_keys: 0,
            outbox: None,
        }
    }
}

/// One line, which `systemctl status` shows.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopping {
            f.write_str("stopping, ")?;
        }
        let (granted, wanted) = (self.granted(), self.configured().count());
        write!(f, "{}, {granted}/{wanted} subscribed, {} waiting", self.connection(), self.waiting)
    }
}

/// Why received messages are not recorded, if they are not. A record cannot say it.
fn unrecorded() -> Option<String> {
    journal::fault().map(|fault| format!("received messages are not recorded: {fault}"))
}
