//! What is counted, in one place that everybody counts in, and its form for Prometheus.

mod process;

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Seconds; a broker on this machine takes a fraction of a millisecond, and no publish more than `max-timeout`.
const BUCKETS: [f64; 17] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What became of a publish, in as many words as there will ever be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishResult {
    /// QoS 0: handed over to a live connection, which may not have written it yet.
    HandedOver,
    /// QoS 1 and 2: the broker has it.
    Acknowledged,
    /// By the broker.
    Refused,
    /// The connection ended each time.
    GivenUp,
    /// Handed over, and no acknowledgement in time.
    Unknown,
    /// Not sent: no connection in time.
    NotConnected,
    /// Not sent: the broker had too much before it.
    Busy,
    /// Not sent: the daemon ends.
    Stopping,
    /// Not sent: `max-waiting`, or the memory for requests.
    TooManyWaiting,
    /// Not sent: over our limit or the broker's.
    TooLarge,
    /// Not sent: this broker or this version of MQTT cannot.
    NotSupported,
}

impl PublishResult {
    /// In the order of the declaration, which is that of the counters.
    const ALL: [(Self, &str); 11] = [
        (Self::HandedOver, "handed_over"),
        (Self::Acknowledged, "acknowledged"),
        (Self::Refused, "refused"),
        (Self::GivenUp, "given_up"),
        (Self::Unknown, "unknown"),
        (Self::NotConnected, "not_connected"),
        (Self::Busy, "busy"),
        (Self::Stopping, "stopping"),
        (Self::TooManyWaiting, "too_many_waiting"),
        (Self::TooLarge, "too_large"),
        (Self::NotSupported, "not_supported"),
    ];
}

/// What is not counted but asked for when somebody looks.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// To the broker.
    pub connected: bool,
    /// Configured topic filters.
    pub subscriptions: usize,
    /// Those that the broker granted on this connection.
    pub granted: usize,
    /// Topic filters, of run time too, over which the connection ended.
    pub left_out: usize,
    /// Publishes that were accepted and are not yet settled.
    pub waiting: usize,
    /// Since when the oldest of them waits.
    pub oldest_waiting: Duration,
    /// Publishes that were sent and are not acknowledged.
    pub unacknowledged: usize,
    /// Streams of messages that are open.
    pub listeners: usize,
}

/// A publish is settled, so long after it was accepted. `qos` is 0, 1 or 2.
pub fn published(qos: u8, result: PublishResult, took: Duration) {
    if let Some(counters) = METRICS.publishes.get(usize::from(qos)) {
        counters[result as usize].inc();
    }
    if result == PublishResult::Acknowledged {
        METRICS.acknowledgement.observe(took.as_secs_f64());
    }
}

/// A message came from the broker.
pub fn received() {
    METRICS.received.inc();
}

/// A connection to the broker came about that is not the first.
pub fn reconnected() {
    METRICS.reconnects.inc();
}

/// A record was dropped because it could not be written, or not fast enough.
pub fn journal_dropped() {
    METRICS.journal_dropped.inc();
}

/// A reader of received messages was too slow for so many of them.
pub fn lagged(missed: u64) {
    METRICS.lagged.inc_by(missed);
}

/// So many user properties of a received message were not kept.
pub fn user_properties_dropped(count: u64) {
    METRICS.user_properties_dropped.inc_by(count);
}

/// A message came on a response topic where nobody awaits it any more.
pub fn late_answer() {
    METRICS.late_answers.inc();
}

/// What a broker should not send, and what is dropped of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A message on a topic that has a wildcard in it.
    WildcardTopic,
    /// A message on a topic that none of our filters matches.
    UnaskedTopic,
    /// A message for a subscription that we do not have.
    UnknownSubscription,
    /// An answer to a SUBSCRIBE or an UNSUBSCRIBE that nothing awaits.
    UnknownPacket,
}

impl Stray {
    /// In the order of the declaration, which is that of the counters.
    const ALL: [&str; 4] =
        ["wildcard_topic", "unasked_topic", "unknown_subscription_identifier", "unknown_packet_identifier"];
}

/// The broker sent something that was dropped. Returns whether it is the first of its kind.
#[must_use]
pub fn dropped_stray(stray: Stray) -> bool {
    let counter = &METRICS.strays[stray as usize];
    counter.inc();
    counter.get() == 1
}

/// So many HTTP connections more are open than a moment ago, or fewer.
pub fn http_connections_changed(by: i64) {
    METRICS.http_connections.add(by);
}

/// An HTTP request has its answer.
pub fn replied(status: u16, code: u8) {
    if (status, code) == (200, 0) {
        METRICS.success.inc();
    } else {
        METRICS.replies.with_label_values(&[status.to_string(), code.to_string()]).inc();
    }
}

/// Everything, in the text format 0.0.4.
#[must_use]
pub fn render(state: &State) -> Vec<u8> {
    let mut families = METRICS.registry.gather();
    families.extend(state.sample());
    families.extend(process::sample());
    let mut text = Vec::with_capacity(16 * 1024);
    // memory takes everything, and the names are sound: a test holds that
    let _ = TextEncoder::new().encode(&families, &mut text);
    text
}

impl State {
    fn sample(&self) -> Vec<MetricFamily> {
        let number = |number: usize| u32::try_from(number).map_or(f64::INFINITY, f64::from);
        [
            gauge("mqtt_bridge_connected", "1 while there is a connection to the broker.", f64::from(self.connected)),
            gauge("mqtt_bridge_subscriptions", "Topic filters of the configuration.", number(self.subscriptions)),
            gauge(
                "mqtt_bridge_subscriptions_granted",
                "Topic filters of the configuration that the broker granted on this connection.",
                number(self.granted),
            ),
            gauge(
                "mqtt_bridge_subscriptions_left_out",
                "Topic filters that are left out for a while, as the connection to the broker ended over them.",
                number(self.left_out),
            ),
            gauge(
                "mqtt_bridge_waiting_publishes",
                "Publishes that were accepted and are not yet answered.",
                number(self.waiting),
            ),
            gauge(
                "mqtt_bridge_oldest_waiting_seconds",
                "How long the oldest publish that is not yet answered has waited; 0 if there is none.",
                self.oldest_waiting.as_secs_f64(),
            ),
            gauge(
                "mqtt_bridge_unacknowledged_publishes",
                "Publishes at QoS 1 and 2 that the broker was sent and has not acknowledged.",
                number(self.unacknowledged),
            ),
            gauge("mqtt_bridge_listeners", "Streams of received messages that are open.", number(self.listeners)),
        ]
        .concat()
    }
}

/// A value of this moment.
fn gauge(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    let gauge = Gauge::new(name, help).inspect(|gauge| gauge.set(value));
    gauge.map(|gauge| gauge.collect()).unwrap_or_default()
}

/// The same for what only ever grows, and is counted elsewhere.
fn counter(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    let counter = Counter::new(name, help).inspect(|counter| counter.inc_by(value.max(0.0)));
    counter.map(|counter| counter.collect()).unwrap_or_default()
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Looked up once: counting is then an atomic operation or a few.
struct Metrics {
    registry: Registry,
    /// By QoS, and in the order of [`PublishResult::ALL`].
    publishes: [[IntCounter; PublishResult::ALL.len()]; 3],
    acknowledgement: Histogram,
    received: IntCounter,
    reconnects: IntCounter,
    journal_dropped: IntCounter,
    lagged: IntCounter,
    user_properties_dropped: IntCounter,
    late_answers: IntCounter,
    /// In the order of [`Stray::ALL`].
    strays: [IntCounter; Stray::ALL.len()],
    http_connections: IntGauge,
    replies: IntCounterVec,
    /// Of the replies, what most of them are.
    success: IntCounter,
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
            reconnects: count("mqtt_bridge_reconnects_total", "Connections to the broker after the first."),
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
            http_connections: register(
                &registry,
                IntGauge::new("mqtt_bridge_http_connections", "HTTP connections that are open."),
            ),
            registry,
        }
    }
}

/// Adds a metric to the registry.
///
/// # Panics
/// If its name is no name or is there twice; all are constants, and a test registers them.
fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a sound metric");
    registry.register(Box::new(metric.clone())).expect("a metric that is registered once");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_where_their_names_are() {
        for (position, (result, name)) in PublishResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, position, "{name}");
        }
    }

    #[test]
    fn everything_that_there_is_has_help_and_a_type() {
        replied(200, 0);
        replied(404, 6);
        published(1, PublishResult::Acknowledged, Duration::from_millis(3));
        let state = State {
            connected: true,
            subscriptions: 2,
            granted: 1,
            left_out: 0,
            waiting: 3,
            oldest_waiting: Duration::from_millis(1500),
            unacknowledged: 0,
            listeners: 0,
        };
        let text = String::from_utf8(render(&state)).unwrap();
        for line in [
            "mqtt_bridge_connected 1",
            "mqtt_bridge_oldest_waiting_seconds 1.5",
            // which nothing touches where the tests run in one process
            "mqtt_bridge_late_answers_total 0",
            r#"mqtt_bridge_http_replies_total{code="6",status="404"} 1"#,
            r#"mqtt_bridge_publishes_total{qos="1",result="acknowledged"} 1"#,
            r#"mqtt_bridge_publish_acknowledgement_seconds_bucket{le="0.005"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
        let with = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!(with("# HELP"), with("# TYPE"));
    }
}
