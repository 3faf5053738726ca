//! What the broker made of a filter, in words for the log.

use crate::message::{Qos, TopicFilter};
use crate::mqtt::reason::Reason;
use crate::printable::Printable;

/// How much of a topic filter a record shows, in bytes.
pub const SHOWN: usize = 1024;

/// What the broker made of one filter.
pub struct Report {
    /// Which.
    pub filter: TopicFilter,
    /// What was asked for.
    pub qos: Qos,
    /// What came of it; `None` where the SUBACK has no code for it.
    pub answer: Option<Result<u8, u8>>,
    /// It was asked for the sake of readers: whoever comes and goes shall not fill the journal.
    pub is_passing: bool,
}

impl Report {
    /// Says it, with the broker's own words of a refusal, which are printable.
    pub fn log(&self, words: Option<&str>) {
        let topic = Printable::new(self.filter.as_str(), SHOWN);
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
