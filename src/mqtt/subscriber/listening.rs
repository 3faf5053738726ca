//! Streams of what comes for a topic filter.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Caller, Subscriber};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::subscriptions::{Answer, Want};
use crate::mqtt::session::topic_buffer::{Batch, Channel, Reader, Start};

/// Is told, once, whether there is something to listen to. Must not wait.
pub type Opened = Box<dyn FnOnce(Result<Listener, Refusal>) + Send>;

/// A stream of what comes for one filter, until it is dropped.
pub struct Listener {
    reader: Reader,
    filter: TopicFilter,
    want: Want,
    seat: Seat,
}

/// One of the places for listeners.
struct Seat(Subscriber);

impl Subscriber {
    /// Opens a stream of what comes for a filter. It begins before the filter is asked for, as a broker may send what it
    /// keeps before it answers (MQTT 5, 3.8.4); and where there is no broker to ask, it is told later what that says.
    pub fn listen(&self, filter: &TopicFilter, qos: Qos, start: Start, timeout: Duration, opened: Opened) {
        let Some(seat) = Seat::take(self) else { return opened(Err(Refusal::TooManyListeners)) };
        let want = Want::Read { qos, retained: !matches!(start, Start::After(..)) };
        let place = Arc::new(Mutex::new(None));
        let (of_filter, taken) = (filter.clone(), place.clone());
        let caller: Caller = Box::new(move |answer: Answer| {
            let reader = taken.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Refusal::Stopping);
            opened(answer.and(reader).map(|mut reader: Reader| {
                reader.begin();
                Listener { reader, filter: of_filter, want, seat }
            }));
        });
        self.want_and(filter, want, timeout, caller, |state| {
            let number = self.0.count.fetch_add(1, Ordering::Relaxed);
            let make = || Arc::new(Channel::new(number, self.0.channels.clone()));
            let reader = state.table.open_channel(filter, make);
            let reader = reader.map(|(channel, generation)| Reader::new(channel, start, generation));
            *place.lock().unwrap_or_else(PoisonError::into_inner) = reader;
        });
    }
}

impl Listener {
    /// Waits for the next messages, up to the deadline.
    pub fn read(&mut self, deadline: Instant) -> Batch {
        self.reader.read(deadline)
    }

    /// The number of its channel, for [`Start::After`].
    #[must_use]
    pub fn channel(&self) -> u64 {
        self.reader.channel()
    }

    /// Whether there is nothing to be expected any more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.reader.is_ended()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.seat.0.with_state(|state| state.table.leave(&self.filter, self.want, Instant::now()));
    }
}

impl Seat {
    fn take(subscriber: &Subscriber) -> Option<Self> {
        let (listeners, max) = (&subscriber.0.listeners, subscriber.0.max_listeners);
        let add = |taken: usize| (taken < max).then_some(taken + 1);
        listeners.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Self(subscriber.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
