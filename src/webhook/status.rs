//! The state of a webhook, for `/status` and `/metrics`.

use std::time::{Duration, SystemTime};

/// The state of a webhook at one moment.
#[derive(Debug)]
pub struct WebhookStatus {
    /// From the configuration.
    pub name: String,
    /// The topic filter.
    pub topic: String,
    /// Why it receives nothing, if it does not: there is no connection to the broker, or the topic filter is not
    /// granted.
    pub missing: Option<String>,
    /// Messages that are received and not acknowledged.
    pub waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_waiting: Duration,
    /// Messages at QoS 0 that found no room.
    pub dropped: u64,
    /// When the present outage of the endpoint began, if there is one.
    pub failing_since: Option<SystemTime>,
    /// Why the last attempt failed that did.
    pub last_error: Option<LastError>,
}

/// A failed attempt, or a message that was given up.
#[derive(Debug, Clone)]
pub struct LastError {
    /// Printable.
    pub error: String,
    /// When it ended.
    pub time: SystemTime,
}
