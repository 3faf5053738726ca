//! The counters.

use std::sync::LazyLock;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::family::register;
use super::label::{PublishResult, Stray};
use super::outbox::OutboxMetrics;
use super::webhook::WebhookFamilies;

/// In seconds. A broker on this machine takes a fraction of a millisecond, and `max-timeout` limits every publish.
const BUCKETS: [f64; 17] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What the parts of the bridge count.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Each metric is looked up once, so that counting is an atomic operation or a few.
pub struct Metrics {
    pub registry: Registry,
    /// By QoS, and in the order of [`PublishResult::ALL`].
    pub publishes: [[IntCounter; PublishResult::ALL.len()]; 3],
    pub acknowledgement: Histogram,
    /// Messages from the broker.
    pub received: IntCounter,
    /// Records that could not be written, or not fast enough.
    pub journal_dropped: IntCounter,
    /// Messages that streams missed because they read too slowly.
    pub lagged: IntCounter,
    /// User properties of received messages that were not kept.
    pub user_properties_dropped: IntCounter,
    /// Messages on response topics where no request waited any more.
    pub late_answers: IntCounter,
    /// In the order of [`Stray::ALL`].
    pub strays: [IntCounter; Stray::ALL.len()],
    /// Requests that were answered as an earlier one with the same idempotency key.
    pub repetitions: IntCounter,
    pub http_connections: IntGauge,
    pub webhooks: WebhookFamilies,
    pub outbox: OutboxMetrics,
    pub replies: IntCounterVec,
    /// Of `replies`, the most frequent.
    pub success: IntCounter,
}

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let info = Opts::new("mqtt_bridge_build_info", "1, with the version as a label.");
        let info = info.const_label("version", env!("CARGO_PKG_VERSION"));
        register(&registry, IntGauge::with_opts(info)).set(1);
        let publishes = Opts::new("mqtt_bridge_publishes_total", "Publishes that are settled, by QoS and result.");
        let publishes = register(&registry, IntCounterVec::new(publishes, &["qos", "result"]));
        let replies = Opts::new(
            "mqtt_bridge_http_replies_total",
            "Answers to HTTP requests by status and code; from 400 refusals.",
        );
        let replies = register(&registry, IntCounterVec::new(replies, &["status", "code"]));
        let strays = Opts::new("mqtt_bridge_stray_packets_total", "What the broker should not send, and was dropped.");
        let strays = register(&registry, IntCounterVec::new(strays, &["kind"]));
        let acknowledgement = HistogramOpts::new(
            "mqtt_bridge_publish_acknowledgement_seconds",
            "From the acceptance of a publish at QoS 1 or 2 to its acknowledgement.",
        );
        let acknowledgement = Histogram::with_opts(acknowledgement.buckets(BUCKETS.to_vec()));
        let count = |name, help| register(&registry, IntCounter::new(name, help));
        Self {
            publishes: ["0", "1", "2"]
                .map(|qos| PublishResult::ALL.map(|(_, result)| publishes.with_label_values(&[qos, result]))),
            strays: Stray::ALL.map(|kind| strays.with_label_values(&[kind])),
            success: replies.with_label_values(&["200", "0"]),
            replies,
            acknowledgement: register(&registry, acknowledgement),
            received: count("mqtt_bridge_received_messages_total", "Messages that the broker sent."),
            journal_dropped: count(
                "mqtt_bridge_journal_dropped_total",
                "Records that were dropped because they could not be written, or not fast enough.",
            ),
            lagged: count(
                "mqtt_bridge_lagged_messages_total",
                "Messages that listeners missed because they read too slowly.",
            ),
            user_properties_dropped: count(
                "mqtt_bridge_user_properties_dropped_total",
                "User properties of received messages beyond the first 100 of each.",
            ),
            late_answers: count(
                "mqtt_bridge_late_answers_total",
                "Messages on response topics that no request awaited any more.",
            ),
            repetitions: count(
                "mqtt_bridge_repetitions_total",
                "Requests that were answered as an earlier one with the same idempotency key.",
            ),
            http_connections: register(
                &registry,
                IntGauge::new("mqtt_bridge_http_connections", "HTTP connections that are open."),
            ),
            webhooks: WebhookFamilies::new(&registry),
            outbox: OutboxMetrics::new(&registry),
            registry,
        }
    }
}
