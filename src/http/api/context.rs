//! What every endpoint uses: the connection to the broker, the checks, and the configured limits.

use std::time::Duration;

use crate::config::{Config, Protocol};
use crate::http::access::{Access, Tokens};
use crate::http::idempotency::Keys;
use crate::http::server::Reach;
use crate::mqtt::{Publisher, Subscriber};
use crate::outbox::Outbox;
use crate::webhook::Webhooks;

/// The parts of the bridge that the endpoints use. All listeners share them.
#[derive(Clone)]
pub struct Parts {
    /// Publishes.
    pub publisher: Publisher,
    /// Subscribes and listens.
    pub subscriber: Subscriber,
    /// Their state.
    pub webhooks: Webhooks,
    /// The messages that are stored.
    pub outbox: Outbox,
    /// The requests with an idempotency key.
    pub keys: Keys,
}

/// The bridge, for the endpoints of one listener.
pub struct Context {
    pub access: Access,
    pub publisher: Publisher,
    pub subscriber: Subscriber,
    pub webhooks: Webhooks,
    pub outbox: Outbox,
    /// The requests with an idempotency key.
    pub keys: Keys,
    /// Bytes.
    pub max_body: usize,
    /// The default timeout of a request.
    pub timeout: Duration,
    /// The longest timeout that a request may ask for.
    pub max_timeout: Duration,
    /// How long after the answer to a SUBSCRIBE a retained message may come.
    pub retained_wait: Duration,
    /// Whether messages can have properties: since MQTT 5.
    pub has_properties: bool,
    /// The longest time for which a message may be stored.
    pub max_ttl: Duration,
    /// Whether the messages of hooks are stored.
    pub stores_hooks: bool,
    /// Whether messages have the idempotency key of their request.
    pub forwards_keys: bool,
}

impl Context {
    pub fn new(config: &Config, tokens: Tokens, reach: Reach, parts: Parts) -> Self {
        let Parts { publisher, subscriber, webhooks, outbox, keys } = parts;
        Self {
            access: Access::new(config, tokens, reach),
            publisher,
            subscriber,
            webhooks,
            outbox,
            keys,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
            retained_wait: config.http.retained_wait,
            has_properties: config.mqtt.protocol == Protocol::V5,
            max_ttl: config.outbox.max_ttl,
            stores_hooks: config.publish.store,
            forwards_keys: config.publish.forward_idempotency_key,
        }
    }
}
