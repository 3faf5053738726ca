//! A message from the broker, of which no more is kept than we are ready to hold.

use std::sync::Once;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::Publish;

use crate::message::{MAX_USER_PROPERTIES, Received, ReceivedProperties};
use crate::metrics;
use crate::printable::Printable;

/// How much of a topic name a record shows, in bytes.
const SHOWN: usize = 1024;

/// What came, without what holds the memory that it was read with.
pub fn received(message: Publish) -> Received {
    let mut properties = message.properties.unwrap_or_default();
    bound_user_properties(&mut properties.user_properties, &message.topic);
    let identifiers = properties.subscription_identifiers.into_iter();
    Received {
        // copies: what was read with them would stay as long as they do
        topic: message.topic.to_vec(),
        payload: message.payload.to_vec(),
        qos: message.qos as u8,
        retain: message.retain,
        dup: message.dup,
        properties: ReceivedProperties {
            payload_format_indicator: properties.payload_format_indicator,
            message_expiry_interval: properties.message_expiry_interval,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data.map(|data| Bytes::copy_from_slice(&data)),
            content_type: properties.content_type,
            user_properties: properties.user_properties,
            subscription_identifiers: identifiers.filter_map(|id| u32::try_from(id).ok()).collect(),
        },
    }
}

/// Drops what is over the bound, before anything else holds it. It is counted each time, and told once.
fn bound_user_properties(pairs: &mut Vec<(String, String)>, topic: &[u8]) {
    static TOLD: Once = Once::new();
    let dropped = pairs.len().saturating_sub(MAX_USER_PROPERTIES);
    pairs.truncate(MAX_USER_PROPERTIES);
    pairs.shrink_to_fit();
    if dropped > 0 {
        metrics::user_properties_dropped(dropped as u64);
        TOLD.call_once(|| {
            log::warn!(
                "a message on topic {} has {} user properties: the first {MAX_USER_PROPERTIES} are kept of each message; \
                 further ones are counted in /metrics and not told again",
                Printable::new(topic, SHOWN), dropped + MAX_USER_PROPERTIES
            );
        });
    }
}
