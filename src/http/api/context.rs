//! What every endpoint uses: the connection to the broker, the checks, and the configured limits.

use std::time::Duration;

use crate::config::{Config, Protocol};
use crate::http::access::{Access, Tokens};
use crate::http::server::Reach;
use crate::mqtt::{Publisher, Subscriber};
use crate::outbox::Outbox;
use crate::webhook::Webhooks;

/// The bridge, for the endpoints of one listener.
pub struct Context {
    pub access: Access,
    pub publisher: Publisher,
    pub subscriber: Subscriber,
    pub webhooks: Webhooks,
    pub outbox: Outbox,
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
}

impl Context {
    pub fn new(
        config: &Config,
        tokens: Tokens,
        reach: Reach,
        (publisher, subscriber, webhooks, outbox): (Publisher, Subscriber, Webhooks, Outbox),
    ) -> Self {
        Self {
            access: Access::new(config, tokens, reach),
            publisher,
            subscriber,
            webhooks,
            outbox,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
            retained_wait: config.http.retained_wait,
            has_properties: config.mqtt.protocol == Protocol::V5,
        }
    }
}
