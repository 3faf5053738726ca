//! What is known of the connection, for those who ask: in one line, or in full.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::reason::Reason;
use crate::config::{Config, Protocol, Subscription};
use crate::metrics;
use crate::printable::Printable;

/// How much of a topic filter is shown, in bytes.
const SHOWN: usize = 200;

/// What does not change.
#[derive(Debug)]
pub struct Settings {
    /// `HOST:PORT` of the broker.
    pub broker: String,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// Our name at the broker.
    pub client_id: String,
    /// What is to be received.
    pub subscriptions: Vec<Subscription>,
    /// When the bridge started.
    pub started: Instant,
}

/// What happened to the connection so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// `None` while there is no connection.
    pub connected_since: Option<SystemTime>,
    /// Connections that came about after the first.
    pub reconnects: u64,
    /// What the broker answered to our SUBSCRIBE on this connection: for each filter the granted QoS or a reason code.
    pub answers: Vec<Result<u8, u8>>,
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
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            broker: config.mqtt.address(),
            protocol: config.mqtt.protocol,
            client_id: config.mqtt.client_id.clone(),
            subscriptions: config.subscribe.clone(),
            started: Instant::now(),
        }
    }
}

impl History {
    pub(super) fn connected(&mut self) {
        if self.was_connected {
            self.reconnects += 1;
            metrics::reconnected();
        }
        (self.was_connected, self.connected_since) = (true, Some(SystemTime::now()));
    }

    pub(super) fn subscribed(&mut self, answers: &[Result<u8, u8>]) {
        self.answers = answers.to_vec();
    }

    pub(super) fn disconnected(&mut self) {
        self.connected_since = None;
        self.answers.clear();
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.last_error = Some((error.to_owned(), SystemTime::now()));
    }
}

impl Status {
    /// How many topic filters the broker granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.history.answers.iter().take(self.settings.subscriptions.len()).filter(|answer| answer.is_ok()).count()
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
        let answers = self.history.answers.iter().map(Some).chain(std::iter::repeat(None));
        let missing = self.settings.subscriptions.iter().zip(answers).find_map(|(wanted, answer)| {
            let topic = Printable::new(wanted.topic.as_str(), SHOWN);
            match answer {
                Some(Ok(_)) => None,
                Some(&Err(code)) => Some(format!("subscription to {topic} refused: {}", Reason(code))),
                None => Some(format!("not subscribed to {topic}")),
            }
        });
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
            subscriptions: self.settings.subscriptions.len(),
            granted: self.granted(),
            waiting: self.waiting,
            oldest_waiting: self.oldest_waiting,
            unacknowledged: self.unacknowledged,
        }
    }
}

/// One line, for people who look at a table of services.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopping {
            f.write_str("stopping, ")?;
        }
        let (granted, wanted) = (self.granted(), self.settings.subscriptions.len());
        write!(f, "{}, {granted}/{wanted} subscribed, {} waiting", self.connection(), self.waiting)
    }
}
