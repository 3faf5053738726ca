//! Metrics of the state of the bridge.

use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::family::{counter, gauge};
use super::outbox;
use super::webhook::{self, WebhookState};
use crate::outbox::OutboxStatus;

/// The state of the bridge when metrics are asked for.
#[derive(Debug, Clone)]
pub struct State {
    /// Whether there is a connection to the broker.
    pub connected: bool,
    /// Configured topic filters.
    pub subscriptions: usize,
    /// Configured topic filters that the broker granted on this connection.
    pub granted: usize,
    /// Topic filters, of run time too, that are left out since the connection ended over them.
    pub left_out: usize,
    /// Publishes that were accepted and are not yet settled.
    pub waiting: usize,
    /// How long the oldest of these has waited.
    pub oldest_waiting: Duration,
    /// Publishes that were sent and are not acknowledged.
    pub unacknowledged: usize,
    /// Streams of messages that are open.
    pub listeners: usize,
    /// Connections to the broker after the first.
    pub reconnects: u64,
    /// In the order of the configuration.
    pub webhooks: Vec<WebhookState>,
    /// Idempotency keys that are remembered.
    pub idempotency_keys: usize,
    /// `None` where there is no outbox.
    pub outbox: Option<OutboxStatus>,
}

pub fn sample(state: &State) -> Vec<MetricFamily> {
    let number = |number: usize| u32::try_from(number).map_or(f64::INFINITY, f64::from);
    [
        gauge("mqtt_bridge_connected", "1 while there is a connection to the broker.", f64::from(state.connected)),
        gauge("mqtt_bridge_subscriptions", "Topic filters of the configuration.", number(state.subscriptions)),
        gauge(
            "mqtt_bridge_subscriptions_granted",
            "Topic filters of the configuration that the broker granted on this connection.",
            number(state.granted),
        ),
        gauge(
            "mqtt_bridge_subscriptions_left_out",
            "Topic filters that are left out for a while, as the connection to the broker ended over them.",
            number(state.left_out),
        ),
        gauge(
            "mqtt_bridge_waiting_publishes",
            "Publishes that were accepted and are not yet answered.",
            number(state.waiting),
        ),
        gauge(
            "mqtt_bridge_oldest_waiting_seconds",
            "How long the oldest publish that is not yet answered has waited; 0 if there is none.",
            state.oldest_waiting.as_secs_f64(),
        ),
        gauge(
            "mqtt_bridge_unacknowledged_publishes",
            "Publishes at QoS 1 and 2 that the broker was sent and has not acknowledged.",
            number(state.unacknowledged),
        ),
        gauge(
            "mqtt_bridge_listeners",
            "Streams of received messages that are open, and requests that wait for a message.",
            number(state.listeners),
        ),
        gauge("mqtt_bridge_idempotency_keys", "Idempotency keys that are remembered.", number(state.idempotency_keys)),
        counter(
            "mqtt_bridge_reconnects_total",
            "Connections to the broker after the first.",
            u32::try_from(state.reconnects).map_or(f64::INFINITY, f64::from),
        ),
        webhook::sample(&state.webhooks),
        outbox::sample(state.outbox.as_ref()),
    ]
    .concat()
}
