//! SUBSCRIBE and UNSUBSCRIBE as the table hands them over.

use std::time::{Duration, Instant};

use super::index::Key;
use super::report::SHOWN;
use crate::message::{Qos, TopicFilter};
use crate::printable::Printable;

/// A packet for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A SUBSCRIBE, with a subscription identifier for a single filter.
    Subscribe(Vec<(TopicFilter, Qos)>, Option<u32>),
    /// An UNSUBSCRIBE of one filter.
    Unsubscribe(TopicFilter),
}

/// An operation without an answer.
pub struct Pending {
    pub keys: Vec<Key>,
    pub is_subscribe: bool,
    pub since: Instant,
    /// The ordinal of its packet identifier.
    pub ordinal: u64,
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub has_identifiers: bool,
    /// Bytes.
    pub max_packet_size: usize,
    /// Filters are subscribed to one at a time, with this time after each answer.
    pub probation: Option<Duration>,
}

/// A SUBSCRIBE that was not sent, as it is larger than the broker accepts.
pub struct Oversized {
    pub filter: TopicFilter,
    /// Bytes.
    pub size: usize,
    pub link: Link,
    /// For readers or requesters, not for the journal.
    pub is_passing: bool,
}

impl Oversized {
    /// Logs it.
    pub fn log(&self) {
        let topic = Printable::new(self.filter.as_str(), SHOWN);
        let (size, limit) = (self.size, self.link.max_packet_size);
        let words = "the broker takes no packet of more than";
        if self.is_passing {
            log::debug!(
                "not subscribed to {topic} for a listener: {words} {limit} bytes, and a SUBSCRIBE takes {size}"
            );
        } else {
            log::warn!("not subscribed to {topic}: {words} {limit} bytes, and our SUBSCRIBE takes up to {size}");
        }
    }
}
