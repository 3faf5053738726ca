//! `[[webhook]]`: endpoints that received messages are sent to by HTTP.

use std::time::Duration;

use super::mqtt::Secret;
use crate::message::{Qos, TopicFilter, TopicName};
use crate::tls::Tls;

/// An endpoint that the messages of a topic filter are sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Unique; a part of its client identifier.
    pub name: String,
    /// What is subscribed to.
    pub topic: TopicFilter,
    /// The quality of service asked for, 0 or 1; the broker may grant less.
    pub qos: Qos,
    /// Where messages are sent to.
    pub url: Url,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// For how long a message is tried again, from its receipt on.
    pub retry_for: Duration,
    /// Where messages are published that were given up.
    pub dead_letter: Option<TopicName>,
    /// Requests that may be under way at a time. 1 keeps the order of messages.
    pub in_flight: u16,
    /// What a request has of the message.
    pub format: WebhookFormat,
    /// The keys of Standard Webhooks that each request is signed with: none, one, or two while one is renewed.
    pub keys: Vec<SigningKey>,
    /// Headers of each request. Their values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// `None` where the URL begins with `http://`.
    pub tls: Option<Tls>,
    /// Seconds for which an MQTT 5 broker keeps the session.
    pub session_expiry: u32,
}

/// The URL of an endpoint, without user name, password and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As it is in the configuration.
    pub text: String,
    /// It begins with `https://`.
    pub is_https: bool,
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
}

/// What a request has of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The payload as the body, all else in headers.
    Raw,
    /// A JSON object with everything, as event streams have it.
    Json,
}

/// A key that requests are signed with. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(pub Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
