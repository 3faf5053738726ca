//! Every reply that clients get: status, headers and body, each by a constructor that names it.
//!
//! `successes`, `refusals` of HTTP, what a token or a page is `denied`, the `outcome` of a message that was sent to the
//! broker, and `no_answer` to a subscription or a request.

mod body;
mod error_text;
mod return_code;
mod size;

mod denied;
mod no_answer;
mod outbox;
mod outcome;
mod payload;
mod refusals;
mod repeated;
mod stored;
mod successes;

use std::sync::Arc;

pub use self::error_text::{SHOWN, in_field, shown};
pub use self::stored::Told;

use self::body::Content;
use self::return_code::ReturnCode;

#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    code: ReturnCode,
    error: Option<String>,
    packet_id: Option<u16>,
    reason_code: Option<u8>,
    /// Besides those that frame the body. They never contain what a request sent.
    headers: Vec<(&'static str, Arc<str>)>,
    content: Content,
}

/// The headers that pages of allowed origins may read.
const EXPOSED_HEADERS: &str = "Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID, MQTT-QoS, \
                               MQTT-Retain, x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, \
                               x-amz-mqtt5-payload-format-indicator";

/// Seconds after which a client should try again.
const RETRY_AFTER: &str = "1";

/// Modified copies.
impl Reply {
    /// The same with a reason code of MQTT 5.
    pub fn with_reason_code(self, reason_code: u8) -> Self {
        Self { reason_code: Some(reason_code), ..self }
    }

    /// The same, where the error is that of one item of an array, counted from 0.
    pub fn for_item(self, index: usize) -> Self {
        Self { error: self.error.map(|error| format!("item {index}: {error}")), ..self }
    }

    /// The same, which a browser shows to a page of this origin. The origin must be one of the configuration.
    pub fn with_allowed_origin(self, origin: Option<Arc<str>>) -> Self {
        let Some(origin) = origin else { return self };
        self.with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Expose-Headers", EXPOSED_HEADERS)
            .with("Vary", "Origin")
    }

    /// The same, which no cache may store.
    pub fn not_stored(self) -> Self {
        self.with("Cache-Control", "no-store")
    }

    fn with(mut self, name: &'static str, value: impl Into<Arc<str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn plain(status: u16, code: ReturnCode) -> Self {
        let (error, packet_id, reason_code) = (None, None, None);
        Self { status, code, error, packet_id, reason_code, headers: Vec::new(), content: Content::Status }
    }

    /// Says when to try again, if the same request may succeed then.
    fn refusal(status: u16, code: ReturnCode, error: impl Into<String>) -> Self {
        let reply = Self { error: Some(error.into()), ..Self::plain(status, code) };
        if matches!(status, 429 | 503) { reply.with("Retry-After", RETRY_AFTER) } else { reply }
    }
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, without those that frame the body.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let content_type = self.has_body().then_some(("Content-Type", self.content.content_type()));
        content_type.into_iter().chain(self.headers.iter().map(|(name, value)| (*name, &**value)))
    }

    /// The error text; empty if there is no error.
    pub fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }

    /// The reason code of MQTT 5: the broker's, or one that the bridge has chosen.
    pub fn reason_code(&self) -> Option<u8> {
        self.reason_code
    }

    /// Whether it refuses for lack of a connection to the broker.
    pub fn is_not_connected(&self) -> bool {
        self.code == ReturnCode::NoConnection
    }

    pub fn code(&self) -> u8 {
        self.code as u8
    }
}
