//! Metrics of the outbox.

use std::time::{Duration, SystemTime};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::family::{gauge, register};
use crate::outbox::{OutboxStatus, Settlement, State};

/// In seconds. A write takes a fraction of a millisecond in memory, and a disk that turns some tens of milliseconds.
const BUCKETS: [f64; 12] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What the thread of the outbox counts.
pub struct OutboxMetrics {
    stored: IntCounter,
    settled: IntCounterVec,
    writing: Histogram,
}

impl OutboxMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let stored = IntCounter::new("mqtt_bridge_outbox_stored_total", "Messages that were stored in the outbox.");
        let settled =
            Opts::new("mqtt_bridge_outbox_settled_total", "Messages of the outbox that are settled, by result.");
        let settled = register(registry, IntCounterVec::new(settled, &["result"]));
        for result in [Settlement::Acknowledged, Settlement::Expired, Settlement::Refused] {
            settled.with_label_values(&[State::from(result).name()]);
        }
        let writing = HistogramOpts::new(
            "mqtt_bridge_outbox_write_seconds",
            "How long the disk took for a transaction of the outbox.",
        );
        let writing = Histogram::with_opts(writing.buckets(BUCKETS.to_vec()));
        Self { stored: register(registry, stored), settled, writing: register(registry, writing) }
    }

    /// Messages are on disk.
    pub fn stored(&self, messages: usize) {
        self.stored.inc_by(messages as u64);
    }

    /// It is known what became of a message.
    pub fn settled(&self, settlement: Settlement) {
        self.settled.with_label_values(&[State::from(settlement).name()]).inc();
    }

    /// A transaction is on disk.
    pub fn written(&self, took: Duration) {
        self.writing.observe(took.as_secs_f64());
    }
}

/// The state of an outbox; nothing where there is none.
pub fn sample(status: Option<&OutboxStatus>) -> Vec<MetricFamily> {
    let Some(status) = status else { return Vec::new() };
    let half = |half: u64| f64::from(u32::try_from(half).unwrap_or(u32::MAX));
    let number = |number: u64| half(number >> 32) * 2f64.powi(32) + half(number & u64::from(u32::MAX));
    let messages = Opts::new("mqtt_bridge_outbox_messages", "Messages in the outbox, by state.");
    let messages = GaugeVec::new(messages, &["state"]).map(|gauges| {
        for (count, (_, name)) in status.counts.iter().zip(State::ALL) {
            gauges.with_label_values(&[name]).set(number(*count));
        }
        gauges.collect()
    });
    let age = status.oldest.and_then(|since| SystemTime::now().duration_since(since).ok()).unwrap_or_default();
    [
        messages.unwrap_or_default(),
        gauge(
            "mqtt_bridge_outbox_bytes",
            "Bytes of the messages in the outbox that are not settled.",
            number(status.bytes),
        ),
        gauge(
            "mqtt_bridge_outbox_oldest_seconds",
            "How long the oldest message in the outbox that is not settled is there; 0 if there is none.",
            age.as_secs_f64(),
        ),
        gauge(
            "mqtt_bridge_outbox_failing",
            "1 while nothing can be stored in the outbox, as its disk fails.",
            f64::from(u8::from(status.trouble.is_some())),
        ),
    ]
    .concat()
}
