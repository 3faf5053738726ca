//! `GET /healthz`, `/readyz`, `/status` and `/metrics`: how the bridge is, for those who operate it. A query changes
//! nothing there: who watches may well send one.

use std::time::SystemTime;

use serde::Serialize;

use super::call::{Call, Handled};
use super::context::Context;
use crate::config::Protocol;
use crate::http::access::Quota;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::http::server::Head;
use crate::metrics;
use crate::mqtt::{Standing, Status};

/// All that strangers are told, where there are tokens.
const NOT_READY: &str = "the bridge is not ready";

/// 200 while requests are answered at all.
pub fn healthz(_: &Context, head: Head) -> Result<Handled, Reply> {
    require_method(head, READ)?;
    Ok(Handled::Reply(Reply::success()))
}

/// 200 while the bridge does all that it is configured for.
///
/// Whoever watches over us need not have a token; who has one is told what is missing, too.
pub fn readyz(context: &Context, head: Head) -> Result<Handled, Reply> {
    let sees_all = context.access.may_see_all(head)?;
    require_method(head, READ)?;
    let missing = context.subscriber.status().missing();
    let missing = missing.map(|missing| if sees_all { missing } else { NOT_READY.to_owned() });
    Ok(Handled::Reply(missing.map_or_else(Reply::success, Reply::not_ready)))
}

/// Everything that is known, but for secrets.
#[expect(clippy::needless_pass_by_value, reason = "as all endpoints")]
pub fn status(call: Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    // numbers and strings always have a JSON form
    let (status, own) = (call.status(), call.principal.sees_only());
    let report = own.map_or_else(|| Report::of(&status), |own| Report::of_own(&status, own));
    let report = serde_json::to_vec(&report).unwrap_or_default();
    Ok(Handled::Reply(Reply::document("application/json", report)))
}

/// The text format of Prometheus.
#[expect(clippy::needless_pass_by_value, reason = "as all endpoints")]
pub fn metrics(call: Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    Ok(Handled::Reply(Reply::document(metrics::CONTENT_TYPE, metrics::render(&call.status().metrics()))))
}

/// The body of an answer, `code` first as in every other one.
#[derive(Serialize)]
struct Report<'a> {
    code: u8,
    version: &'static str,
    uptime_seconds: u64,
    connection: Connection<'a>,
    subscriptions: Vec<Subscription<'a>>,
    publishes: Publishes,
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

/// A topic filter, and what the broker made of it.
#[derive(Serialize)]
pub struct Subscription<'a> {
    topic: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
}

#[derive(Serialize)]
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

impl<'a> Subscription<'a> {
    pub fn of(standing: &'a Standing) -> Self {
        Self {
            topic: standing.filter.as_str(),
            qos: standing.qos as u8,
            granted_qos: standing.answer.and_then(Result::ok),
            reason_code: standing.answer.and_then(Result::err),
            left_out: standing.is_left_out,
        }
    }
}

impl<'a> Report<'a> {
    fn of(status: &'a Status) -> Self {
        let (settings, history) = (&*status.settings, &status.history);
        let subscriptions = status.configured().map(Subscription::of);
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
        }
    }

    /// The same for who sees nothing of others, nor of where the broker is.
    fn of_own(status: &'a Status, own: &Quota) -> Self {
        let Self { connection, .. } = Self::of(status);
        let (oldest_waiting_seconds, unacknowledged, receive_maximum, window) = (None, None, None, None);
        let waiting = own.waiting();
        Self {
            connection: Connection { broker: None, client_id: None, last_error: None, ..connection },
            subscriptions: Vec::new(),
            publishes: Publishes { waiting, oldest_waiting_seconds, unacknowledged, receive_maximum, window },
            ..Self::of(status)
        }
    }
}

/// Since 1970.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
