//! The messages of a connection that threads deliver elsewhere, and acknowledge when they have done so.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::message::{Received, TopicFilter};
use crate::mqtt::publisher::Publisher;
use crate::mqtt::session::deliveries::{Deliveries, Due, Full, Owed};

/// What is to be delivered. Clones share it.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

struct Shared {
    publisher: Publisher,
    /// What was subscribed to.
    filter: TopicFilter,
    state: Mutex<State>,
    /// Notified when there is a message, and at a stop.
    filled: Condvar,
    /// Notified at a stop, and then when a delivery ends.
    stopping: Condvar,
}

#[derive(Default)]
struct State {
    table: Deliveries,
    /// Deliveries that a thread works on.
    under_way: usize,
    /// Messages that found no room and do not come again.
    dropped: u64,
    /// Nothing more is delivered.
    is_stopping: bool,
}

/// A message that a thread is to deliver. Where it is dropped, the broker delivers the message to the next process.
pub struct Delivery {
    inbox: Inbox,
    number: u64,
    /// The message.
    pub message: Arc<Received>,
    /// When it came for the first time.
    pub since: Instant,
}

/// How many messages are not acknowledged, and since when the oldest is here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backlog {
    /// Messages.
    pub messages: usize,
    /// `None` without a message.
    pub oldest: Option<Instant>,
    /// Messages that were lost for want of room, at QoS 0.
    pub dropped: u64,
}

impl Inbox {
    /// For the messages of one topic filter. Unacknowledged ones take up to so many bytes, or a single larger one does.
    pub(in crate::mqtt) fn new(publisher: Publisher, filter: TopicFilter, max_bytes: usize) -> Self {
        let state = State { table: Deliveries::new(max_bytes), ..State::default() };
        let (filled, stopping) = (Condvar::new(), Condvar::new());
        Self(Arc::new(Shared { publisher, filter, state: Mutex::new(state), filled, stopping }))
    }

    /// A connection was made.
    pub(in crate::mqtt) fn connected(&self, session_present: bool) {
        self.lock().table.connected(session_present);
    }

    /// Whether the filter matches a message. A session also has the messages of filters that were subscribed to in it
    /// by earlier processes.
    #[must_use]
    pub fn wants(&self, message: &Received) -> bool {
        self.0.filter.matches_name(&String::from_utf8_lossy(&message.topic))
    }

    /// Takes a message with its place in the order of acknowledgements.
    pub(super) fn put(&self, message: &Arc<Received>, owed: Option<Owed>) -> Result<(), Full> {
        let mut state = self.lock();
        if let Some(delivered) = state.table.push(message, owed, Instant::now())? {
            // by the thread of this connection, so that it is still there
            self.acknowledge(delivered);
        }
        self.settle(&mut state);
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    /// A message found no room, and does not come again.
    pub(super) fn drop_message(&self) {
        self.lock().dropped += 1;
    }

    /// Whether nothing is unacknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().table.len() == 0
    }

    /// Waits for the next message to deliver; `None` at a stop.
    #[must_use]
    pub fn next(&self) -> Option<Delivery> {
        let mut state = self.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            if let Some(Due { number, message, since }) = state.table.next() {
                state.under_way += 1;
                return Some(Delivery { inbox: self.clone(), number, message, since });
            }
            state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for this time, or until a stop. Returns whether there is one.
    #[must_use]
    pub fn pause(&self, duration: Duration) -> bool {
        let waited = self.0.stopping.wait_timeout_while(self.lock(), duration, |state| !state.is_stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_stopping
    }

    /// Begins no further delivery.
    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.0.filled.notify_all();
        self.0.stopping.notify_all();
    }

    /// Waits until no thread works on a delivery, or until the deadline. Returns how many do.
    pub fn drain(&self, deadline: Instant) -> usize {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.0.stopping.wait_timeout_while(self.lock(), left, |state| state.under_way > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.under_way
    }

    /// What is not acknowledged.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let state = self.lock();
        Backlog { messages: state.table.len(), oldest: state.table.oldest(), dropped: state.dropped }
    }

    /// Acknowledges what is settled: under the lock, so that threads do so in order.
    fn settle(&self, state: &mut State) {
        state.table.acknowledge(|owed| self.acknowledge(owed));
    }

    fn acknowledge(&self, owed: Owed) -> bool {
        self.0.publisher.acknowledge(owed.connection, owed.packet_identifier, owed.qos)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    /// It is delivered, or given up: the broker may forget it.
    pub fn settle(self) {
        self.inbox.lock().table.settle(self.number);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.under_way -= 1;
        self.inbox.settle(&mut state);
        if state.is_stopping {
            self.inbox.0.stopping.notify_all();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
