//! `GET /metrics`: metrics in the text format of Prometheus. Parameters are ignored.

use super::call::{Call, Handled};
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::metrics::{CONTENT_TYPE, State, WebhookState, render};
use crate::webhook::WebhookStatus;

pub fn metrics(call: &mut Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    let (status, webhooks) = (call.context.subscriber.status(), call.context.webhooks.statuses());
    let state = State {
        webhooks: webhooks.into_iter().map(state).collect(),
        idempotency_keys: call.context.keys.size().0,
        outbox: call.context.outbox.status(),
        ..status.metrics()
    };
    Ok(Handled::Reply(Reply::document(CONTENT_TYPE, render(&state))))
}

fn state(webhook: WebhookStatus) -> WebhookState {
    let WebhookStatus { name, missing, waiting, oldest_waiting, dropped, .. } = webhook;
    WebhookState { name, is_subscribed: missing.is_none(), waiting, oldest_waiting, dropped }
}
