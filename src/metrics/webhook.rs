//! Metrics of webhooks, by their names.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::family::register;

/// In seconds. Most endpoints take milliseconds, and the longest timeout is five minutes.
const BUCKETS: [f64; 14] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookResult {
    /// The endpoint has it.
    Delivered,
    /// It was given up, and published as a dead letter.
    DeadLettered,
    /// It was given up, and only recorded.
    GivenUp,
}

impl WebhookResult {
    /// In the order of the declaration, which is that of the counters.
    pub const ALL: [&str; 3] = ["delivered", "dead_lettered", "given_up"];
}

/// The state of a webhook when metrics are asked for.
#[derive(Debug, Clone)]
pub struct WebhookState {
    /// From the configuration.
    pub name: String,
    /// Whether it receives messages.
    pub is_subscribed: bool,
    /// Messages that are received and not acknowledged.
    pub waiting: usize,
    /// How long the oldest of these has waited.
    pub oldest_waiting: Duration,
    /// Messages at QoS 0 that found no room.
    pub dropped: u64,
}

/// The families that all webhooks share.
pub struct WebhookFamilies {
    deliveries: IntCounterVec,
    failures: IntCounterVec,
    attempts: HistogramVec,
}

/// The metrics of one webhook.
#[derive(Debug)]
pub struct WebhookMetrics {
    /// In the order of [`WebhookResult::ALL`].
    deliveries: [IntCounter; WebhookResult::ALL.len()],
    failures: IntCounter,
    attempts: Histogram,
}

impl WebhookFamilies {
    pub fn new(registry: &Registry) -> Self {
        let deliveries = Opts::new("mqtt_bridge_webhook_deliveries_total", "Messages of webhooks that are settled.");
        let failures = Opts::new("mqtt_bridge_webhook_failed_attempts_total", "Requests of webhooks without a 2xx.");
        let attempts = HistogramOpts::new(
            "mqtt_bridge_webhook_attempt_seconds",
            "From the beginning of a request of a webhook to the end of its answer or its failure.",
        );
        Self {
            deliveries: register(registry, IntCounterVec::new(deliveries, &["webhook", "result"])),
            failures: register(registry, IntCounterVec::new(failures, &["webhook"])),
            attempts: register(registry, HistogramVec::new(attempts.buckets(BUCKETS.to_vec()), &["webhook"])),
        }
    }

    pub fn of(&self, name: &str) -> WebhookMetrics {
        let Self { deliveries, failures, attempts } = self;
        WebhookMetrics {
            deliveries: WebhookResult::ALL.map(|result| deliveries.with_label_values(&[name, result])),
            failures: failures.with_label_values(&[name]),
            attempts: attempts.with_label_values(&[name]),
        }
    }
}

impl WebhookMetrics {
    /// A request took so long.
    pub fn attempted(&self, took: Duration) {
        self.attempts.observe(took.as_secs_f64());
    }

    /// A request was not answered with 2xx.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// A message is settled.
    pub fn settled(&self, result: WebhookResult) {
        self.deliveries[result as usize].inc();
    }
}

/// The metrics of these states.
pub fn sample(webhooks: &[WebhookState]) -> Vec<MetricFamily> {
    // a family without metrics has no text form
    if webhooks.is_empty() {
        return Vec::new();
    }
    let gauge = |name: &str, help: &str, value: &dyn Fn(&WebhookState) -> f64| {
        let gauges = GaugeVec::new(Opts::new(name, help), &["webhook"]);
        let Ok(gauges) = gauges else { return Vec::new() };
        for webhook in webhooks {
            gauges.with_label_values(&[&webhook.name]).set(value(webhook));
        }
        gauges.collect()
    };
    [
        dropped(webhooks),
        gauge(
            "mqtt_bridge_webhook_subscribed",
            "1 while the webhook has a connection to the broker, and its topic filter is granted.",
            &|webhook| f64::from(webhook.is_subscribed),
        ),
        gauge(
            "mqtt_bridge_webhook_waiting_messages",
            "Messages that were received for the webhook and are not acknowledged; the others wait with the broker.",
            &|webhook| u32::try_from(webhook.waiting).map_or(f64::INFINITY, f64::from),
        ),
        gauge(
            "mqtt_bridge_webhook_oldest_waiting_seconds",
            "How long the oldest unacknowledged message of the webhook has been here; 0 if there is none.",
            &|webhook| webhook.oldest_waiting.as_secs_f64(),
        ),
    ]
    .concat()
}

fn dropped(webhooks: &[WebhookState]) -> Vec<MetricFamily> {
    let name = "mqtt_bridge_webhook_dropped_messages_total";
    let counters = IntCounterVec::new(Opts::new(name, "Messages at QoS 0 that found no room."), &["webhook"]);
    let Ok(counters) = counters else { return Vec::new() };
    for webhook in webhooks {
        counters.with_label_values(&[&webhook.name]).inc_by(webhook.dropped);
    }
    counters.collect()
}
