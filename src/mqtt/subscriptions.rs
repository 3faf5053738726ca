//! What we subscribe to at every connection, and what the broker made of it.

use super::reason::Reason;
use crate::config::Subscription;
use crate::printable::Printable;

/// How much of a topic filter a record shows, in bytes.
const SHOWN: usize = 1024;

/// Tells of each answer in a SUBACK; the codes come in the order of the filters (MQTT 5, 3.9.3-1).
pub fn report(subscriptions: &[Subscription], answers: &[Result<u8, u8>]) {
    for (position, wanted) in subscriptions.iter().enumerate() {
        let topic = Printable::new(wanted.topic.as_str(), SHOWN);
        match answers.get(position) {
            Some(&Ok(granted)) if granted == wanted.qos as u8 => log::info!("subscribed to {topic} at QoS {granted}"),
            Some(&Ok(granted)) => {
                log::warn!("subscribed to {topic} at QoS {granted}: the broker does not grant QoS {}", wanted.qos);
            }
            Some(&Err(code)) => {
                log::warn!(REASON_CODE = code; "subscription to {topic} refused: {}", Reason(code));
            }
            None => log::warn!("subscription to {topic} not answered: the SUBACK has {} codes", answers.len()),
        }
    }
}
