//! Every reply that clients get: status, headers and body, each by a constructor that names it.
//!
//! `successes`, `refusals` of HTTP, what a token or a page is `denied`, and the `outcome` of what was sent to the
//! broker.

mod body;
mod error_text;
mod return_code;
mod size;

mod denied;
mod outcome;
mod refusals;
mod successes;

use std::sync::Arc;

use serde::Serialize;

pub use self::error_text::{SHOWN, in_field, in_item, shown};

use self::body::Content;
use self::return_code::ReturnCode;

#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    code: ReturnCode,
    error: Option<String>,
    packet_id: Option<u16>,
    reason_code: Option<u8>,
    headers: Vec<(&'static str, HeaderValue)>,
    content: Content,
}

/// The value of a header. It never contains what a request sent.
#[derive(Debug, PartialEq, Eq)]
enum HeaderValue {
    Static(&'static str),
    Shared(Arc<str>),
}

/// Seconds after which a client should try again.
const RETRY_AFTER: &str = "1";

/// Modified copies.
impl Reply {
    /// The same with this JSON body.
    pub fn with_json(self, body: &impl Serialize) -> Self {
        Self { content: Content::json(body), ..self }
    }

    /// The same with a reason code of MQTT 5.
    pub fn with_reason_code(self, reason_code: u8) -> Self {
        Self { reason_code: Some(reason_code), ..self }
    }

    /// The same, where the error is that of one item of an array, counted from 0.
    pub fn for_item(self, index: usize) -> Self {
        Self { error: self.error.map(|error| in_item(index, &error)), ..self }
    }

    /// The same, which a browser shows to a page of this origin. The origin must be one of the configuration.
    pub fn with_allowed_origin(self, origin: Option<Arc<str>>) -> Self {
        let Some(origin) = origin else { return self };
        self.with("Access-Control-Allow-Origin", HeaderValue::Shared(origin))
            .with("Access-Control-Expose-Headers", HeaderValue::Static("Retry-After, X-Request-ID"))
            .with("Vary", HeaderValue::Static("Origin"))
    }

    fn with(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again, if it is a reply to a request that may succeed then.
    fn with_retry_after(self) -> Self {
        let may_succeed = matches!(self.status, 429 | 503);
        if may_succeed { self.with("Retry-After", HeaderValue::Static(RETRY_AFTER)) } else { self }
    }

    fn plain(status: u16, code: ReturnCode) -> Self {
        let (error, packet_id, reason_code) = (None, None, None);
        Self { status, code, error, packet_id, reason_code, headers: Vec::new(), content: Content::Status }
    }

    fn refusal(status: u16, code: ReturnCode, error: String) -> Self {
        Self { error: Some(error), ..Self::plain(status, code) }
    }
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, without those that frame the body.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let content_type = self.has_body().then_some(("Content-Type", self.content.content_type()));
        let others = self.headers.iter().map(|(name, value)| match value {
            HeaderValue::Static(value) => (*name, *value),
            HeaderValue::Shared(value) => (*name, &**value),
        });
        content_type.into_iter().chain(others)
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
