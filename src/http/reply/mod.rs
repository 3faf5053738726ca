//! Every answer that there is: its status, its code, its words.

mod code;
mod denied;
mod length;
mod outcome;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use self::code::Code;
use super::input::items::numbered;
use crate::mqtt::Outcome;
use crate::printable::Printable;

/// How much of a client's words an error text repeats, in bytes.
pub const SHOWN: usize = 80;

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    code: Code,
    error: Option<String>,
    packet_id: Option<u16>,
    reason_code: Option<u8>,
    headers: Vec<(&'static str, Value)>,
    form: Form,
}

/// What the body is.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Usual,
    /// The usual one, with those of messages that were published together.
    Results(Vec<Outcome>),
    Document {
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

/// The value of a header, of our own making: nothing from a request goes into one.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Fixed(&'static str),
    Made(Arc<str>),
}

/// The body of an answer, `code` first as in the tutorial.
#[derive(Serialize)]
struct Body<'a> {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Body<'a>>>,
}

const JSON: &str = "application/json";
/// Seconds after which a client may well try again.
const RETRY_AFTER: &str = "1";

/// The headers that pages of allowed origins may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Last-Event-ID, X-Request-ID, x-amz-mqtt5-user-properties, \
                               x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator";

impl Reply {
    /// 200: what was asked for is so.
    pub fn success() -> Self {
        Self::plain(200, Code::Success)
    }

    /// 202: it is with the broker, which has nobody to give it to.
    pub fn accepted() -> Self {
        Self::plain(202, Code::Success)
    }

    /// 200: what was asked for.
    pub fn document(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { form: Form::Document { content_type, bytes }, ..Self::success() }
    }

    /// 200: what was asked for, which has a JSON form whatever it holds.
    pub fn json(body: &impl Serialize) -> Self {
        Self::document("application/json", serde_json::to_vec(body).unwrap_or_default())
    }

    /// 200: a stream of events follows (HTML, 9.2), which nobody on the way is to keep or to hold up.
    pub fn events() -> Self {
        Self::document("text/event-stream", Vec::new())
            .with("Cache-Control", Value::Fixed("no-store"))
            .with("X-Accel-Buffering", Value::Fixed("no"))
    }

    /// 200: all messages are published; 207 (RFC 4918, 13): see what became of each.
    pub fn results(outcomes: Vec<Outcome>) -> Self {
        let failure = outcomes.iter().find_map(|outcome| outcome.clone().err());
        let (status, code) = failure.map_or((200, Code::Success), |failure| (207, Self::from(failure).code));
        Self { form: Form::Results(outcomes), ..Self::plain(status, code) }
    }

    /// 200: a page for people, which may do no more than its policy says, and is shown as what it is.
    pub fn page(html: &str, policy: Arc<str>) -> Self {
        Self::document("text/html; charset=utf-8", html.into())
            .with("Content-Security-Policy", Value::Made(policy))
            .with("X-Content-Type-Options", Value::Fixed("nosniff"))
            .with("Referrer-Policy", Value::Fixed("no-referrer"))
    }

    /// 400: the request breaks a rule.
    pub fn invalid(error: String) -> Self {
        Self::refusal(400, Code::Invalid, error)
    }

    /// 400: the connection ended with the chunks of a body (RFC 9112, 8).
    pub fn chunks_cut_off() -> Self {
        let error = "not sent: the connection ended with the body, and nothing tells whether all of its chunks came";
        Self::invalid(error.to_owned())
    }

    /// The same for an item of many, counted from 0.
    pub fn of_item(self, number: usize) -> Self {
        Self { error: self.error.map(|error| numbered(number, &error)), ..self }
    }

    /// 404: there is no such path.
    pub fn not_found(path: &str) -> Self {
        Self::refusal(
            404,
            Code::NotFound,
            format!("there is nothing at `{}`: try `POST /publish`", Printable::new(path, SHOWN)),
        )
    }

    /// 405: the path has other methods, which `Allow` names (RFC 9110, 15.5.6).
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let error = format!("the method must be {}", allowed.replace(", ", " or "));
        Self::refusal(405, Code::Invalid, error).with("Allow", Value::Fixed(allowed))
    }

    /// 413: the body is longer than `max-body`.
    pub fn body_too_large(max: usize) -> Self {
        Self::refusal(413, Code::PayloadSize, format!("not sent: the body is over the limit of {max} bytes"))
    }

    /// 415: the body is not JSON.
    pub fn unsupported_media_type(error: String) -> Self {
        Self::refusal(415, Code::Invalid, error)
    }

    /// 408: the request is not complete in time.
    pub fn request_timeout() -> Self {
        let error = "not sent: the request was not complete within `request-timeout`".to_owned();
        Self::refusal(408, Code::Invalid, error)
    }

    /// 411: the length of the body cannot be told.
    pub fn length_required() -> Self {
        let error = "the body must come with `Content-Length`, or with exactly `Transfer-Encoding: chunked`";
        Self::refusal(411, Code::Invalid, error.to_owned())
    }

    /// 411: HTTP/1.0 has no other way to tell where a body ends (RFC 9112, 6.3).
    pub fn old_body_without_length() -> Self {
        let error = "not sent: in HTTP/1.0 a body must come with `Content-Length`";
        Self::refusal(411, Code::Invalid, error.to_owned())
    }

    /// 411: an empty payload, which would have the broker forget what it keeps, may be none that was meant.
    pub fn clearing_not_said() -> Self {
        let error = "not sent: an empty body clears what is retained only with `Content-Length: 0`, \
                     and so does `DELETE /topics/{topic}`";
        Self::refusal(411, Code::Invalid, error.to_owned())
    }

    /// 414: the target is too long.
    pub fn target_too_long(max: usize) -> Self {
        Self::refusal(414, Code::Invalid, format!("the request target is over the limit of {max} bytes"))
    }

    /// 431: the head is too long (RFC 6585, 5).
    pub fn head_too_large(max: u64, max_headers: usize) -> Self {
        let error = format!("the head of the request is over the limit of {max} bytes or {max_headers} headers");
        Self::refusal(431, Code::Invalid, error)
    }

    /// 503: there are more requests than we can serve.
    pub fn busy() -> Self {
        let error = "not sent: too many requests at a time".to_owned();
        Self::refusal(503, Code::QueueSize, error).with("Retry-After", Value::Fixed(RETRY_AFTER))
    }

    /// 503: something of what was asked for failed.
    pub fn unavailable() -> Self {
        Self::plain(503, Code::Unknown)
    }

    /// 503: the bridge does not do all that it should.
    pub fn not_ready(missing: String) -> Self {
        Self::refusal(503, Code::NoConnection, missing).with("Retry-After", Value::Fixed(RETRY_AFTER))
    }

    /// 505: only versions 1.0 and 1.1 of HTTP.
    pub fn version_not_supported() -> Self {
        Self::refusal(505, Code::NotSupported, "the version must be HTTP/1.1 or HTTP/1.0".to_owned())
    }

    /// 204: what a browser may send us for a page of an allowed origin (Fetch, 3.3.3).
    pub fn preflight() -> Self {
        Self::plain(204, Code::Success)
            .with("Access-Control-Allow-Methods", Value::Fixed("GET, POST, PUT, DELETE"))
            .with("Access-Control-Allow-Headers", Value::Fixed(ALLOWED_HEADERS))
            .with("Access-Control-Max-Age", Value::Fixed("600"))
    }

    /// The same with a body of its own, in JSON.
    pub fn with_json(self, body: &impl Serialize) -> Self {
        // numbers and strings always have a JSON form
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        Self { form: Form::Document { content_type: JSON, bytes }, ..self }
    }

    /// The same with a reason code of MQTT 5.
    pub fn because_of(self, reason_code: u8) -> Self {
        Self { reason_code: Some(reason_code), ..self }
    }

    /// Lets a browser show the answer to a page of this origin, which is one of the configuration's.
    pub fn readable_by(self, origin: Option<Arc<str>>) -> Self {
        let Some(origin) = origin else { return self };
        self.with("Access-Control-Allow-Origin", Value::Made(origin))
            .with("Access-Control-Expose-Headers", Value::Fixed("Retry-After, X-Request-ID"))
            .with("Vary", Value::Fixed("Origin"))
    }

    fn refusal(status: u16, code: Code, error: String) -> Self {
        Self { error: Some(error), ..Self::plain(status, code) }
    }

    /// Says when to try again, where that makes sense.
    fn with_pause(self) -> Self {
        if matches!(self.status, 429 | 503) { self.with("Retry-After", Value::Fixed(RETRY_AFTER)) } else { self }
    }

    fn plain(status: u16, code: Code) -> Self {
        let (error, packet_id, reason_code) = (None, None, None);
        Self { status, code, error, packet_id, reason_code, headers: Vec::new(), form: Form::Usual }
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers that tell of the answer; those that frame it are the sender's.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let content_type = match &self.form {
            Form::Document { content_type, .. } => content_type,
            Form::Usual | Form::Results(_) => JSON,
        };
        let content_type = self.has_body().then_some(("Content-Type", content_type));
        let others = self.headers.iter().map(|(name, value)| match value {
            Value::Fixed(value) => (*name, *value),
            Value::Made(value) => (*name, &**value),
        });
        content_type.into_iter().chain(others)
    }

    /// What is wrong, in words, if something is.
    pub fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }

    /// The broker's reason code, or the one that a refusal of ours has.
    pub fn reason_code(&self) -> Option<u8> {
        self.reason_code
    }

    /// Whether a connection to the broker is all that was missing.
    pub fn is_for_want_of_connection(&self) -> bool {
        self.code == Code::NoConnection
    }

    /// The tutorial's `code`.
    pub fn code(&self) -> u8 {
        self.code as u8
    }

    /// The body: JSON, a document, or nothing.
    pub fn body(&self) -> Cow<'_, [u8]> {
        // numbers and strings always have a JSON form
        let json = |body: &Body| Cow::Owned(serde_json::to_vec(body).unwrap_or_default());
        match &self.form {
            _ if !self.has_body() => Cow::default(),
            Form::Usual => json(&self.usual_body()),
            Form::Results(outcomes) => {
                let replies: Vec<Self> = outcomes.iter().map(|outcome| Self::from(outcome.clone())).collect();
                let results = replies.iter().map(Self::usual_body).collect();
                json(&Body { results: Some(results), ..self.usual_body() })
            }
            Form::Document { bytes, .. } => Cow::Borrowed(bytes),
        }
    }

    fn usual_body(&self) -> Body<'_> {
        let Self { packet_id, reason_code, .. } = *self;
        Body { code: self.code(), error: self.error.as_deref(), packet_id, reason_code, results: None }
    }

    /// 204 has none (RFC 9110, 15.3.5).
    fn has_body(&self) -> bool {
        self.status != 204
    }
}
