//! What every endpoint works with.

use std::time::Duration;

use crate::config::{Config, Protocol};
use crate::http::access::{Access, Tokens};
use crate::http::server::Reach;
use crate::mqtt::{Publisher, Subscriber};

/// The bridge as the endpoints of one listener see it.
pub struct Context {
    pub access: Access,
    pub publisher: Publisher,
    pub subscriber: Subscriber,
    /// Bytes.
    pub max_body: usize,
    /// How long a publish may take, unless the request says it, and how long at most.
    pub timeout: Duration,
    pub max_timeout: Duration,
    /// Whether the protocol has what MQTT 5 says about a message beside its payload.
    pub has_properties: bool,
}

impl Context {
    /// For the requests of one listener.
    pub fn new(config: &Config, tokens: Tokens, reach: Reach, publisher: Publisher, subscriber: Subscriber) -> Self {
        Self {
            access: Access::new(config, tokens, reach),
            publisher,
            subscriber,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
            has_properties: config.mqtt.protocol == Protocol::V5,
        }
    }
}
