//! Stored messages in JSON, and the parameters that select them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::http::input::values::Scalar;
use crate::http::reply::shown;
use crate::outbox::{Id, Page, Settled, State, View};

/// The answer for one message, `code` first.
#[derive(Serialize)]
pub struct Alone<'a> {
    code: u8,
    #[serde(flatten)]
    message: MessageJson<'a>,
}

/// One message.
#[derive(Serialize)]
pub struct MessageJson<'a> {
    id: String,
    state: &'static str,
    topic: &'a str,
    qos: u8,
    retain: bool,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    stored: f64,
    expires: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_arrived: Option<bool>,
}

/// A page of messages.
#[derive(Serialize)]
pub struct PageJson<'a> {
    code: u8,
    counts: Counts,
    bytes: u64,
    messages: Vec<MessageJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// How many messages there are in each state.
#[derive(Serialize)]
pub struct Counts {
    queued: u64,
    sent: u64,
    acknowledged: u64,
    expired: u64,
    refused: u64,
}

impl<'a> MessageJson<'a> {
    /// The answer for one message.
    pub fn alone(view: &'a View) -> Alone<'a> {
        Alone { code: 0, message: Self::of(view) }
    }

    fn of(view: &'a View) -> Self {
        let View { id, state, stored } = view;
        let (message, settled) = (&stored.message, stored.settled.as_ref());
        Self {
            id: id.to_string(),
            state: state.name(),
            topic: message.topic.as_str(),
            qos: message.qos as u8,
            retain: message.retain,
            bytes: stored.size,
            owner: Some(&*stored.owner).filter(|owner| !owner.is_empty()),
            stored: unix_seconds(stored.since),
            expires: unix_seconds(stored.until),
            settled: settled.map(|settled| unix_seconds(settled.at)),
            reason_code: settled.and_then(|settled| settled.reason_code),
            error: settled.and_then(|settled| settled.error.as_deref()),
            may_have_arrived: settled.map(Settled::may_have_arrived).filter(|may| *may),
        }
    }
}

impl<'a> PageJson<'a> {
    pub fn of(page: &'a Page) -> Self {
        Self {
            code: 0,
            counts: Counts::from(page.counts),
            bytes: page.bytes,
            messages: page.messages.iter().map(MessageJson::of).collect(),
            next: page.next.map(|id| id.to_string()),
        }
    }
}

/// In the order of [`State::ALL`].
impl From<[u64; 5]> for Counts {
    fn from([queued, sent, acknowledged, expired, refused]: [u64; 5]) -> Self {
        Self { queued, sent, acknowledged, expired, refused }
    }
}

/// Seconds since 1970, with milliseconds.
fn unix_seconds(time: SystemTime) -> f64 {
    let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()).as_secs_f64()
}

pub fn state(value: impl Scalar) -> Result<State, String> {
    let text = value.text()?;
    let found = State::ALL.iter().find(|(_, name)| *name == text);
    found
        .map(|(state, _)| *state)
        .ok_or_else(|| format!("must be queued, sent, acknowledged, expired or refused, not `{}`", shown(&text)))
}

pub fn id(value: impl Scalar) -> Result<Id, String> {
    value.text()?.parse().map_err(|()| "must be the `id` of a message, which has 24 hexadecimal digits".to_owned())
}

pub fn limit(value: impl Scalar, most: usize) -> Result<usize, String> {
    let limit = value.integer()?;
    let allowed = usize::try_from(limit).ok().filter(|limit| (1..=most).contains(limit));
    allowed.ok_or_else(|| format!("must be a number from 1 to {most}, not {limit}"))
}
