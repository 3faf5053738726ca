//! One topic filter: the interests in it, and its state at the broker.

mod broker_state;
mod left_out;

mod exchange;
mod interests;

use std::sync::Arc;
use std::time::Instant;

pub use self::broker_state::BrokerState;
pub use self::left_out::LeftOut;

use super::filter_status::{FilterStatus, Source};
use super::interest::Interest;
use super::waiter::Waiter;
use crate::message::{Priority, Qos, TopicFilter};
use crate::mqtt::session::topic_buffer::TopicBuffer;

pub struct Entry {
    pub filter: TopicFilter,
    /// What the configuration says.
    pub file: Option<(Qos, Priority)>,
    /// The quality of service that the API asked for.
    api: Option<Qos>,
    readers: usize,
    reader_qos: Qos,
    requesters: usize,
    /// It stays subscribed until then, as its last reader or requester has left.
    lingers_until: Option<Instant>,
    pub buffer: Option<Arc<TopicBuffer>>,
    /// Identifies it in subscription identifiers.
    pub slot: u32,
    /// How often it was subscribed to.
    pub generation: u32,
    /// The last generation whose retained messages are for everybody: the first on this connection. `None` if that is
    /// still to come.
    general_generation: Option<u32>,
    /// The last generation that was meant for the journal.
    journal_generation: u32,
    /// No retained message can come any more for the first SUBSCRIBE on this connection: one came, or a later message.
    has_retained: bool,
    /// The number of the operation that subscribed to it last.
    pub last_subscribe: u64,
    pub state: BrokerState,
    /// It is to be subscribed to again, even if the broker has it or has refused it.
    pub renew: bool,
    pub waiters: Vec<Waiter>,
    /// The quality of service that was requested last and the granted one, also of an earlier connection.
    last_grant: Option<(Qos, u8)>,
    /// A kept session may have it.
    pub may_be_kept: bool,
    /// Connections in a row that ended between the SUBSCRIBE and its answer.
    losses: u8,
    /// Its messages, or the answer to its SUBSCRIBE, ended a connection.
    pub left_out: Option<LeftOut>,
}

impl Entry {
    pub fn new(filter: TopicFilter, slot: u32) -> Self {
        Self {
            filter,
            file: None,
            api: None,
            readers: 0,
            reader_qos: Qos::AtMostOnce,
            requesters: 0,
            lingers_until: None,
            buffer: None,
            slot,
            generation: 0,
            general_generation: Some(0),
            journal_generation: 0,
            has_retained: false,
            last_subscribe: 0,
            state: BrokerState::Absent,
            renew: false,
            waiters: Vec::new(),
            last_grant: None,
            may_be_kept: false,
            losses: 0,
            left_out: None,
        }
    }

    /// The highest quality of service that is wanted; `None` if no interest is left.
    pub fn wanted(&self) -> Option<Qos> {
        let is_read = self.readers > 0 || self.lingers_until.is_some();
        let waiting = self.waiters.iter().filter_map(|waiter| waiter.interest.qos());
        let is_to_change = self.is_awaited(|interest| matches!(interest, Interest::Record(_) | Interest::Unsubscribe));
        [
            self.file.map(|(qos, _)| qos),
            self.api.filter(|_| !is_to_change),
            is_read.then_some(self.reader_qos),
            (self.requesters > 0).then_some(Qos::AtLeastOnce),
        ]
        .into_iter()
        .flatten()
        .chain(waiting)
        .max()
    }

    /// Whether its messages go to the journal.
    pub fn is_recorded(&self) -> bool {
        self.file.is_some() || self.api.is_some() || self.is_awaited(|interest| matches!(interest, Interest::Record(_)))
    }

    /// Whether it has readers, or may have some soon.
    pub fn is_read(&self) -> bool {
        let has_readers = self.readers > 0 || self.lingers_until.is_some();
        has_readers || self.is_awaited(Interest::is_read)
    }

    fn is_awaited(&self, is_meant: impl Fn(Interest) -> bool) -> bool {
        self.waiters.iter().any(|waiter| is_meant(waiter.interest))
    }

    /// Whether its messages are responses, perhaps late ones.
    pub fn awaits_responses(&self) -> bool {
        self.requesters > 0 || (self.lingers_until.is_some() && self.buffer.is_none())
    }

    /// Whether its last subscription was for the journal.
    pub fn is_subscribed_to_record(&self) -> bool {
        self.is_recorded() && self.records_retained(self.generation)
    }

    /// Whether the retained messages of a generation are for everybody.
    pub fn is_for_all(&self, generation: u32) -> bool {
        self.general_generation.is_none_or(|general| generation <= general)
    }

    /// Whether the retained messages of a generation are for the journal.
    pub fn records_retained(&self, generation: u32) -> bool {
        self.is_for_all(generation) || generation == self.journal_generation
    }

    /// A message came for this filter, which is a topic name, and the broker does not tell for which subscription.
    /// Whether it is the first one on this connection, which, if it is retained, is for the journal too: a topic has
    /// one retained message at most.
    pub fn take_first(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.has_retained, true);
        is_first && self.is_recorded()
    }

    /// The quality of service that was requested last.
    pub fn requested_qos(&self) -> Qos {
        match self.state {
            BrokerState::Subscribing { qos, .. } | BrokerState::Subscribed { requested: qos, .. } => qos,
            _ => self.wanted().unwrap_or(Qos::AtMostOnce),
        }
    }

    /// Whether a kept session holds messages while the bridge is away: brokers hold none at QoS 0.
    pub fn is_queued(&self) -> bool {
        self.may_be_kept && self.last_grant.is_some_and(|(_, granted)| granted > 0)
    }

    /// Whether an operation for it has no answer yet.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, BrokerState::Subscribing { .. } | BrokerState::Unsubscribing)
    }

    /// Whether it is not wanted, and not with the broker.
    pub fn is_absent(&self) -> bool {
        !self.state.may_be_subscribed() && !self.may_be_kept && self.wanted().is_none()
    }

    /// Whether it is no longer needed.
    pub fn is_removable(&self) -> bool {
        // a filter that is left out is remembered: otherwise the next interest in it would end the connection
        self.is_absent() && self.waiters.is_empty() && self.is_left_out().is_none()
    }

    /// Its status; `carrier` is the state of the entry that carries it.
    pub fn status(&self, carrier: Option<BrokerState>) -> Option<FilterStatus> {
        let source = match () {
            () if self.file.is_some() => Source::File,
            () if self.api.is_some() => Source::Api,
            () if self.readers > 0 || (self.buffer.is_some() && self.lingers_until.is_some()) => Source::Listener,
            () if self.requesters > 0 || self.lingers_until.is_some() => Source::Request,
            () => return None,
        };
        let answer = match carrier.unwrap_or(self.state) {
            BrokerState::Refused(code) => Some(Err(code)),
            state => state.granted().map(Ok),
        };
        let qos = self.wanted().unwrap_or(Qos::AtMostOnce);
        let is_left_out = carrier.is_none() && self.state == BrokerState::LeftOut;
        Some(FilterStatus { filter: self.filter.clone(), qos, answer, source, readers: self.readers, is_left_out })
    }
}
