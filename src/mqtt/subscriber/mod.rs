//! Subscriptions, received messages and requests. HTTP workers share it.

mod connection;
mod leaving;
mod listening;
mod operations;
mod permit;
mod requesting;
mod stopping;

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use self::listening::Listener;

use self::leaving::Leaving;
use super::publisher::Publisher;
use super::session::clock::Clock;
use super::session::lifecycle::Lifecycle;
use super::session::requests::Requests;
use super::session::subscriptions::{FilterStatus, Route, Subscriptions};
use super::session::topic_buffer::{Budget, BufferedMessage};
use crate::config::{Config, Protocol, Session};
use crate::instance_id::instance_id;
use crate::message::{Received, TopicFilter};

/// Keeps topic filters subscribed to, and delivers their messages.
#[derive(Clone)]
pub struct Subscriber(Arc<Shared>);

struct Shared {
    publisher: Publisher,
    protocol: Protocol,
    state: Mutex<State>,
    /// Notified when a request ends, and when the broker has answered in a stop.
    changed: Condvar,
    clock: Arc<Clock>,
    /// What all response topics of the bridge begin with.
    response_base: String,
    /// The filter for the responses to requests that do not name a response topic.
    response_filter: Option<TopicFilter>,
    max_listeners: usize,
    max_requests: usize,
    listeners: AtomicUsize,
    budget: Arc<Budget>,
    random: RandomState,
    count: AtomicU64,
}

#[derive(Default)]
struct State {
    table: Subscriptions,
    requests: Requests,
    /// The status of all filters, until something changes.
    statuses: Option<Arc<[FilterStatus]>>,
    /// The connection takes SUBSCRIBE now.
    is_open: bool,
    /// The connection did not take an operation.
    is_left: bool,
    /// A stop has begun to end shared subscriptions.
    leaving: Option<Leaving>,
    lifecycle: Lifecycle,
}

impl Subscriber {
    /// With the filters of the configuration.
    pub(super) fn new(config: &Config, publisher: Publisher, clock: Arc<Clock>) -> Self {
        let is_kept = config.mqtt.session != Session::Clean;
        let response_base = requesting::response_base(&config.mqtt.client_id, instance_id());
        let mut table = Subscriptions::new(&config.subscribe, is_kept);
        let response_filter = TopicFilter::try_from(format!("{response_base}+")).ok();
        table.reserve(response_filter.clone());
        Self(Arc::new(Shared {
            publisher,
            protocol: config.mqtt.protocol,
            state: Mutex::new(State { table, ..State::default() }),
            changed: Condvar::new(),
            clock,
            response_base,
            response_filter,
            max_listeners: config.http.max_listeners,
            max_requests: config.publish.max_waiting,
            listeners: AtomicUsize::new(0),
            budget: Arc::default(),
            random: RandomState::new(),
            count: AtomicU64::new(0),
        }))
    }

    /// Where a message goes.
    pub(super) fn route(&self, message: &Received) -> Route {
        let mut state = self.lock();
        if let Some(leaving) = &mut state.leaving {
            leaving.received(Instant::now());
        }
        state.table.route(message)
    }

    /// Delivers a message to readers and requesters, but not to the journal.
    pub(super) fn deliver(&self, route: Route, message: &Arc<Received>) {
        // a retained message is older than the request
        if route.is_response && !message.retain {
            self.respond(message);
        }
        if !route.buffers.is_empty() {
            let buffered = Arc::new(BufferedMessage::new(message.clone()));
            for (buffer, retained) in route.buffers {
                buffer.push(buffered.clone(), retained);
            }
        }
    }

    /// Changes the state, hands over the operations that follow from that, and then answers callers, without the lock.
    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let was_left = state.is_open && self.hand_over(&mut state);
        let settled = state.table.take_settled();
        state.statuses = None;
        let deadline = state.next_deadline();
        drop(state);
        self.0.clock.wake_at(deadline);
        for (caller, answer) in settled {
            caller(answer);
        }
        if was_left {
            self.0.publisher.all_handed_over();
        }
        result
    }

    /// Uses a poisoned state as it is. A panic ends the process, except in the handler of a request, where it is
    /// caught.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When something is due; never again at the end of a stop.
    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.table.next_deadline().into_iter().chain(self.requests.next_deadline());
        deadlines.min().filter(|_| self.lifecycle != Lifecycle::Ended)
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}
