//! Metrics: what is counted, by all parts of the bridge, and its text for Prometheus.

mod family;
mod label;
mod outbox;
mod process;
mod registry;
mod state;
mod webhook;

use std::time::Duration;

use prometheus::{Encoder, TextEncoder};

pub use self::label::{PublishResult, Stray};
pub use self::outbox::OutboxMetrics;
pub(crate) use self::registry::METRICS;
pub use self::state::State;
pub use self::webhook::{WebhookMetrics, WebhookResult, WebhookState};

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A publish is settled; `took` is the time since it was accepted, `qos` is 0, 1 or 2.
pub fn published(qos: u8, result: PublishResult, took: Duration) {
    if let Some(counters) = METRICS.publishes.get(usize::from(qos)) {
        counters[result as usize].inc();
    }
    if result == PublishResult::Acknowledged {
        METRICS.acknowledgement.observe(took.as_secs_f64());
    }
}

/// The broker sent something that was dropped. Returns whether it is the first of its kind.
#[must_use]
pub fn dropped_stray(stray: Stray) -> bool {
    let counter = &METRICS.strays[stray as usize];
    counter.inc();
    counter.get() == 1
}

/// An HTTP request has its reply.
pub fn replied(status: u16, code: u8) {
    if (status, code) == (200, 0) {
        METRICS.success.inc();
    } else {
        METRICS.replies.with_label_values(&[status.to_string(), code.to_string()]).inc();
    }
}

/// The metrics of the webhook of this name.
#[must_use]
pub fn webhook(name: &str) -> WebhookMetrics {
    METRICS.webhooks.of(name)
}

/// The metrics of the outbox.
#[must_use]
pub fn outbox() -> &'static OutboxMetrics {
    &METRICS.outbox
}

/// All metrics, in the text format 0.0.4.
#[must_use]
pub fn render(state: &State) -> Vec<u8> {
    let mut families = METRICS.registry.gather();
    families.extend(state::sample(state));
    families.extend(process::sample());
    let mut text = Vec::with_capacity(16 * 1024);
    // writing to memory cannot fail, and a test checks the names
    let _ = TextEncoder::new().encode(&families, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_and_a_type() {
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
            reconnects: 0,
            webhooks: Vec::new(),
            idempotency_keys: 5,
            outbox: None,
        };
        let text = String::from_utf8(render(&state)).unwrap();
        let webhooks = vec![WebhookState {
            name: "a".to_owned(),
            is_subscribed: true,
            waiting: 2,
            oldest_waiting: Duration::from_millis(2500),
            dropped: 7,
        }];
        webhook("a").settled(WebhookResult::DeadLettered);
        let with_webhook = String::from_utf8(render(&State { webhooks, ..state })).unwrap();
        for line in [
            r#"mqtt_bridge_webhook_waiting_messages{webhook="a"} 2"#,
            r#"mqtt_bridge_webhook_oldest_waiting_seconds{webhook="a"} 2.5"#,
            r#"mqtt_bridge_webhook_dropped_messages_total{webhook="a"} 7"#,
            r#"mqtt_bridge_webhook_deliveries_total{result="dead_lettered",webhook="a"} 1"#,
        ] {
            assert!(with_webhook.lines().any(|found| found == line), "{line} is not in {with_webhook}");
        }
        assert!([&text, &with_webhook].iter().all(|text| text.contains("process_cpu_seconds_total")), "to its end");
        for line in [
            "mqtt_bridge_connected 1",
            "mqtt_bridge_oldest_waiting_seconds 1.5",
            "mqtt_bridge_idempotency_keys 5",
            // no other test counts this, even if all run in one process
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
