//! What succeeded.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use super::body::Content;
use super::{Reply, ReturnCode};
use crate::mqtt::Outcome;

/// The headers that pages of allowed origins may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-ID, \
                               x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, \
                               x-amz-mqtt5-payload-format-indicator";

impl Reply {
    /// 200 without data.
    pub fn success() -> Self {
        Self::plain(200, ReturnCode::Success)
    }

    /// 204: no message came.
    pub fn no_message() -> Self {
        Self::plain(204, ReturnCode::Success).not_stored()
    }

    /// 202: the broker has the message, and no subscriber for it.
    pub fn accepted() -> Self {
        Self::plain(202, ReturnCode::Success)
    }

    /// 204: what a browser may send for a page of an allowed origin (Fetch, 3.3.3).
    pub fn preflight() -> Self {
        Self::plain(204, ReturnCode::Success)
            .with("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
            .with("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            .with("Access-Control-Max-Age", "600")
    }

    /// 200 with a document.
    pub fn document(content_type: impl Into<Cow<'static, str>>, bytes: Vec<u8>) -> Self {
        Self { content: Content::Document { content_type: content_type.into(), bytes }, ..Self::success() }
    }

    /// 200 with a JSON document.
    pub fn json(body: &impl Serialize) -> Self {
        Self::success().with_json(body)
    }

    /// 200: a stream of events follows (HTML, 9.2), which no proxy may store or buffer.
    pub fn events() -> Self {
        Self::document("text/event-stream", Vec::new()).not_stored().with("X-Accel-Buffering", "no")
    }

    /// 200 with a web page, which a browser holds to its content security policy.
    pub fn page(html: &str, policy: Arc<str>) -> Self {
        Self::document("text/html; charset=utf-8", html.into())
            .with("Content-Security-Policy", policy)
            .with("X-Content-Type-Options", "nosniff")
            .with("Referrer-Policy", "no-referrer")
    }

    /// 200 if all messages were published, otherwise 207 (RFC 4918, 13) with the outcome of each.
    pub fn results(outcomes: Vec<Outcome>) -> Self {
        let failure = outcomes.iter().find_map(|outcome| outcome.clone().err());
        let (status, code) = failure.map_or((200, ReturnCode::Success), |failure| (207, Self::from(failure).code));
        Self { content: Content::Results(outcomes), ..Self::plain(status, code) }
    }
}
