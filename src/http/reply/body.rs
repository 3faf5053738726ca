//! The body of a reply.

use std::borrow::Cow;

use serde::Serialize;

use super::Reply;
use crate::mqtt::Outcome;

const JSON: &str = "application/json";

#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// The parts of the reply, as JSON.
    Status,
    /// The same, and the outcome of each of many messages.
    Results(Vec<Outcome>),
    Document {
        content_type: Cow<'static, str>,
        bytes: Vec<u8>,
    },
}

/// The parts of a reply, `code` first as in the tutorial.
#[derive(Serialize)]
struct StatusJson<'a> {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<StatusJson<'a>>>,
}

impl Content {
    pub fn content_type(&self) -> &str {
        match self {
            Self::Document { content_type, .. } => content_type,
            Self::Status | Self::Results(_) => JSON,
        }
    }
}

impl Reply {
    /// The same with this JSON body.
    pub fn with_json(self, body: &impl Serialize) -> Self {
        Self { content: Content::Document { content_type: JSON.into(), bytes: to_json(body) }, ..self }
    }

    /// The body: JSON, a document, or nothing.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match &self.content {
            _ if !self.has_body() => Cow::default(),
            Content::Status => to_json(&self.status_json()).into(),
            Content::Results(outcomes) => {
                let replies: Vec<Self> = outcomes.iter().map(|outcome| Self::from(outcome.clone())).collect();
                let results = replies.iter().map(Self::status_json).collect();
                to_json(&StatusJson { results: Some(results), ..self.status_json() }).into()
            }
            Content::Document { bytes, .. } => bytes.into(),
        }
    }

    /// Whether it has a body; 204 has none (RFC 9110, 15.3.5).
    pub fn has_body(&self) -> bool {
        self.status != 204
    }

    fn status_json(&self) -> StatusJson<'_> {
        let Self { packet_id, reason_code, .. } = *self;
        StatusJson { code: self.code(), error: self.error.as_deref(), packet_id, reason_code, results: None }
    }
}

/// Numbers and strings always have a JSON form, so this cannot fail.
fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
