//! The status of one topic filter, for the API and the status page.

use crate::message::{Qos, TopicFilter};

/// The first reason why a filter is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration.
    File,
    /// A call of the API.
    Api,
    /// Readers.
    Listener,
    /// Requests that await a response.
    Request,
}

/// The status of one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterStatus {
    /// The filter.
    pub filter: TopicFilter,
    /// The requested QoS.
    pub qos: Qos,
    /// What the broker answered on this connection: the granted QoS or a reason code.
    pub answer: Option<Result<u8, u8>>,
    /// Why it is subscribed to.
    pub source: Source,
    /// How many readers it has.
    pub readers: usize,
    /// It is left out for a while, as connections ended over it.
    pub is_left_out: bool,
}
