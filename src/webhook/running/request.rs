//! The request that a received message becomes.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Webhook, WebhookFormat};
use crate::message::Received;
use crate::message::json::EventJson;
use crate::signature::sign;

/// What all attempts to deliver a message have in common.
pub struct Request<'a> {
    webhook: &'a Webhook,
    id: &'a str,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Request<'a> {
    /// For a message that came at this time.
    pub fn new(webhook: &'a Webhook, id: &'a str, message: &'a Received, time: SystemTime) -> Self {
        let mut headers = vec![("webhook-id".to_owned(), id.to_owned())];
        let body = match webhook.format {
            WebhookFormat::Raw => {
                headers.push(("Content-Type".to_owned(), message.media_type()));
                headers.push(("MQTT-Topic".to_owned(), encoded(&message.topic)));
                headers.push(("MQTT-Dup".to_owned(), message.dup.to_string()));
                if let Some(topic) = &message.properties.response_topic {
                    headers.push(("MQTT-Response-Topic".to_owned(), encoded(topic.as_bytes())));
                }
                headers.extend(message.headers().map(|(name, value)| (name.to_owned(), value)));
                Cow::Borrowed(&*message.payload)
            }
            WebhookFormat::Json => {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
                // strings and numbers can always be written as JSON
                Cow::Owned(serde_json::to_vec(&EventJson::of(message, time)).unwrap_or_default())
            }
        };
        let own = webhook.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        headers.extend(own);
        Self { webhook, id, headers, body }
    }

    /// The headers of an attempt at this time: it has a timestamp of its own, which is signed with the identifier and
    /// the body (Standard Webhooks, "Signature scheme").
    pub fn headers(&self, now: SystemTime) -> Vec<(String, String)> {
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signed = [self.id.as_bytes(), b".", timestamp.as_bytes(), b".", &self.body];
        let signatures = self.webhook.keys.iter().map(|key| format!("v1,{}", STANDARD.encode(sign(&key.0, &signed))));
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let mut headers = self.headers.clone();
        headers.push(("webhook-timestamp".to_owned(), timestamp));
        if !signatures.is_empty() {
            headers.push(("webhook-signature".to_owned(), signatures));
        }
        headers
    }
}

/// A topic name as the value of a header: in percent-encoding where it is not visible ASCII, and for `%` itself
/// (RFC 3986, 2.1).
fn encoded(topic: &[u8]) -> String {
    topic.iter().fold(String::with_capacity(topic.len()), |mut text, &byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
