//! `GET /status`: the state of the bridge. Parameters are ignored, as some monitoring systems send them.

use std::time::SystemTime;

use serde::Serialize;

use super::call::{Call, Handled};
use super::subscription_json::SubscriptionJson;
use crate::config::Protocol;
use crate::http::access::Quota;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::mqtt::Status;
use crate::outbox::OutboxStatus;
use crate::webhook::WebhookStatus;

/// Reports everything except secrets.
pub fn status(call: &mut Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    let status = call.context.subscriber.status();
    let (webhooks, outbox) = (call.context.webhooks.statuses(), call.context.outbox.status());
    let report = match call.principal.restricted_to() {
        Some(quota) => Report::restricted(&status, quota),
        None => Report { outbox: outbox.as_ref().map(Outbox::of), ..Report::of(&status, &webhooks) },
    };
    Ok(Handled::Reply(Reply::json(&report)))
}

/// The body, `code` first as in every other one.
#[derive(Serialize)]
struct Report<'a> {
    code: u8,
    version: &'static str,
    uptime_seconds: u64,
    connection: Connection<'a>,
    subscriptions: Vec<SubscriptionJson<'a>>,
    publishes: Publishes,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhooks: Vec<Webhook<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox: Option<Outbox<'a>>,
}

#[derive(Serialize)]
struct Connection<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<&'a str>,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_since: Option<u64>,
    reconnects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    time: u64,
}

#[derive(Serialize)]
struct Webhook<'a> {
    name: &'a str,
    topic: &'a str,
    subscribed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    waiting: usize,
    oldest_waiting_seconds: f64,
    dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Outbox<'a> {
    queued: u64,
    sent: u64,
    acknowledged: u64,
    expired: u64,
    refused: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize, Default)]
struct Publishes {
    waiting: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unacknowledged: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_maximum: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u16>,
}

impl<'a> Report<'a> {
    fn of(status: &'a Status, webhooks: &'a [WebhookStatus]) -> Self {
        let (settings, history) = (&*status.settings, &status.history);
        let subscriptions = status.configured().map(SubscriptionJson::of);
        Self {
            code: 0,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: settings.started.elapsed().as_secs(),
            connection: Connection {
                state: if history.connected_since.is_some() { "connected" } else { "not connected" },
                broker: Some(&settings.broker),
                protocol: match settings.protocol {
                    Protocol::V311 => "3.1.1",
                    Protocol::V5 => "5",
                },
                client_id: Some(history.assigned_client_id.as_deref().unwrap_or(&settings.client_id)),
                keepalive_seconds: history.keepalive.map(|keepalive| keepalive.as_secs()),
                connected_since: history.connected_since.map(unix_seconds),
                reconnects: history.reconnects,
                last_error: history
                    .last_error
                    .as_ref()
                    .map(|(error, time)| Failure { error, time: unix_seconds(*time) }),
            },
            subscriptions: subscriptions.collect(),
            publishes: Publishes {
                waiting: status.waiting,
                oldest_waiting_seconds: Some(status.oldest_waiting.as_secs_f64()),
                unacknowledged: Some(status.unacknowledged),
                receive_maximum: status.receive_maximum,
                window: status.window,
            },
            webhooks: webhooks.iter().map(Webhook::of).collect(),
            outbox: None,
        }
    }

    /// The same for a token that may see nothing of others, nor where the broker is.
    fn restricted(status: &'a Status, quota: &Quota) -> Self {
        let report = Self::of(status, &[]);
        Self {
            connection: Connection { broker: None, client_id: None, last_error: None, ..report.connection },
            subscriptions: Vec::new(),
            publishes: Publishes { waiting: quota.waiting(), ..Publishes::default() },
            ..report
        }
    }
}

impl<'a> Outbox<'a> {
    fn of(status: &'a OutboxStatus) -> Self {
        let [queued, sent, acknowledged, expired, refused] = status.counts;
        let (bytes, oldest_since) = (status.bytes, status.oldest.map(unix_seconds));
        let error = status.trouble.as_deref();
        Self { queued, sent, acknowledged, expired, refused, bytes, oldest_since, error }
    }
}

impl<'a> Webhook<'a> {
    fn of(status: &'a WebhookStatus) -> Self {
        Self {
            name: &status.name,
            topic: &status.topic,
            subscribed: status.missing.is_none(),
            reason: status.missing.as_deref(),
            waiting: status.waiting,
            oldest_waiting_seconds: status.oldest_waiting.as_secs_f64(),
            dropped: status.dropped,
            failing_since: status.failing_since.map(unix_seconds),
            last_error: status
                .last_error
                .as_ref()
                .map(|last| Failure { error: &last.error, time: unix_seconds(last.time) }),
        }
    }
}

/// Seconds since 1970.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
