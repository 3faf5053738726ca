//! Streams of the messages of a topic filter.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Subscriber;
use super::permit::Permit;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::{Answer, Interest};
use crate::mqtt::session::topic_buffer::{Batch, Reader, Start, TopicBuffer};

/// Called with the stream, once. Must not block.
pub type Opened = Box<dyn FnOnce(Result<Listener, Refusal>) + Send>;

/// A stream of the messages of one filter, until it is dropped.
pub struct Listener {
    reader: Reader,
    filter: TopicFilter,
    interest: Interest,
    permit: Permit,
}

impl Subscriber {
    /// Opens a stream of the messages of a filter. It begins before the SUBSCRIBE is sent, as a broker may send
    /// retained messages before its answer (MQTT 5, 3.8.4). Without a connection the stream gets a refusal later.
    pub fn listen(&self, filter: &TopicFilter, qos: Qos, start: Start, timeout: Duration, opened: Opened) {
        let Some(permit) = Permit::take(self) else { return opened(Err(Refusal::TooManyListeners)) };
        let interest = match start {
            Start::Fetch => Interest::Fetch(qos),
            Start::Now | Start::Unknown => Interest::Read { qos, retained: true },
            Start::After(..) => Interest::Read { qos, retained: false },
        };
        let reader = Arc::new(Mutex::new(None));
        let (of_filter, taken) = (filter.clone(), reader.clone());
        let caller = Box::new(move |answer: Answer| {
            let reader = taken.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Refusal::Stopping);
            opened(answer.and(reader).map(|mut reader: Reader| {
                reader.begin();
                Listener { reader, filter: of_filter, interest, permit }
            }));
        });
        self.with_state(|state| {
            state.register(filter, interest, timeout, caller);
            let number = self.0.count.fetch_add(1, Ordering::Relaxed);
            let make = || Arc::new(TopicBuffer::new(number, self.0.budget.clone()));
            let opened = state.table.open_buffer(filter, make);
            let opened = opened.map(|(buffer, generation)| Reader::new(buffer, start, generation));
            *reader.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        });
    }
}

impl Listener {
    /// Waits for the next messages, up to the deadline.
    pub fn read(&mut self, deadline: Instant) -> Batch {
        self.reader.read(deadline)
    }

    /// The number of its buffer, for [`Start::After`].
    #[must_use]
    pub fn buffer(&self) -> u64 {
        self.reader.buffer()
    }

    /// Identifies the connection on which the filter is subscribed to; `None` where it is not.
    #[must_use]
    pub fn connection(&self) -> Option<u64> {
        self.permit.0.lock().table.connection_of(&self.filter)
    }

    /// Whether no more messages will come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.reader.is_ended()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.permit.0.with_state(|state| state.table.leave(&self.filter, self.interest, Instant::now()));
    }
}
