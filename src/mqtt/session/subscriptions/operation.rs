//! SUBSCRIBE and UNSUBSCRIBE as the table hands them over.

use std::time::{Duration, Instant};

use super::index::Key;
use crate::message::{Qos, TopicFilter};

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
