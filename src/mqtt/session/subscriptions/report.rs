//! The log records of SUBSCRIBEs, and of messages that nobody subscribed to.

use crate::message::{Qos, TopicFilter};
use crate::metrics::{self, Stray};
use crate::mqtt::reason::Reason;
use crate::printable::Printable;

/// How many bytes of a topic filter a record shows.
const SHOWN: usize = 1024;
/// How much of the topic name of a message it shows, in bytes.
const SHOWN_NAME: usize = 256;

/// The broker's answer for one filter.
pub struct Report {
    /// The filter.
    pub filter: TopicFilter,
    /// The requested QoS.
    pub qos: Qos,
    /// The granted QoS or a reason code; `None` where the SUBACK has none for it.
    pub answer: Option<Result<u8, u8>>,
    /// For readers or requesters, which come and go: a record of each would fill the log.
    pub is_passing: bool,
}

impl Report {
    /// Logs it, with the broker's reason string, which is printable. `purpose` says what the
    /// connection is for, if that is not the main one.
    pub fn log(&self, purpose: &str, words: Option<&str>) {
        let topic = format!("{}{purpose}", Printable::new(self.filter.as_str(), SHOWN));
        match self.answer {
            _ if self.is_passing => log::debug!("subscribed to {topic} for a listener: {:?}", self.answer),
            Some(Ok(granted)) if granted == self.qos as u8 => log::info!("subscribed to {topic} at QoS {granted}"),
            Some(Ok(granted)) => {
                log::warn!("subscribed to {topic} at QoS {granted}: the broker does not grant QoS {}", self.qos);
            }
            Some(Err(code)) => {
                let words = words.map(|words| format!(": {words}")).unwrap_or_default();
                log::warn!(REASON_CODE = code; "subscription to {topic} refused: {}{words}", Reason(code));
            }
            None => log::warn!("subscription to {topic} not answered: the SUBACK has too few codes"),
        }
    }
}

/// Logs that no SUBSCRIBE of this size is sent, as it is larger than the broker accepts. A passing filter is for
/// readers or requesters.
pub fn log_oversized(filter: &TopicFilter, is_passing: bool, size: usize, limit: usize) {
    let topic = Printable::new(filter.as_str(), SHOWN);
    let words = "the broker takes no packet of more than";
    if is_passing {
        log::debug!("not subscribed to {topic} for a listener: {words} {limit} bytes, and a SUBSCRIBE takes {size}");
    } else {
        log::warn!("not subscribed to {topic}: {words} {limit} bytes, and our SUBSCRIBE takes up to {size}");
    }
}

/// Counts a message on this topic that the broker should not have sent. The first one of each kind is recorded.
pub fn log_stray(stray: Stray, topic: &[u8]) {
    if !metrics::dropped_stray(stray) {
        return;
    }
    let why = match stray {
        Stray::WildcardTopic => "which is no topic name, as it has a wildcard in it",
        Stray::UnaskedTopic => "which no topic filter of ours matches",
        Stray::UnknownSubscription | Stray::UnknownPacket => "for a subscription that we do not have",
    };
    let topic = Printable::new(topic, SHOWN_NAME);
    log::warn!("the broker sent a message on {topic}, {why}: it is dropped, and others like it are counted alone");
}
