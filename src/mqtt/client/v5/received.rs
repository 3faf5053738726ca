//! A message from the broker, with at most [`MAX_USER_PROPERTIES`] user properties.

use std::sync::Once;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::Publish;

use crate::message::{MAX_USER_PROPERTIES, Received, ReceivedProperties};
use crate::metrics;
use crate::printable::Printable;

/// How much of a topic name a record shows, in bytes.
const SHOWN: usize = 1024;

/// The message in memory of its own.
pub fn received(message: Publish) -> Received {
    let mut properties = message.properties.unwrap_or_default();
    bound_user_properties(&mut properties.user_properties, &message.topic);
    let identifiers = properties.subscription_identifiers.into_iter();
    Received {
        // copies: the originals would keep the whole buffer that they were read with
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

/// Drops what is over the bound. It is counted each time, and recorded once.
fn bound_user_properties(pairs: &mut Vec<(String, String)>, topic: &[u8]) {
    static RECORDED: Once = Once::new();
    let dropped = pairs.len().saturating_sub(MAX_USER_PROPERTIES);
    pairs.truncate(MAX_USER_PROPERTIES);
    pairs.shrink_to_fit();
    if dropped > 0 {
        metrics::METRICS.user_properties_dropped.inc_by(dropped as u64);
        RECORDED.call_once(|| {
            log::warn!(
                "a message on topic {} has {} user properties: the first {MAX_USER_PROPERTIES} are kept of each message; \
                 further ones are counted in /metrics and not told again",
                Printable::new(topic, SHOWN), dropped + MAX_USER_PROPERTIES
            );
        });
    }
}
