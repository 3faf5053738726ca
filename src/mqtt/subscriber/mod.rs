//! Subscriptions, received messages and requests. HTTP workers share it.

mod leaving;
mod listening;
mod requesting;

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use self::listening::Listener;

use self::leaving::Leaving;
use self::requesting::Requester;
use super::outcome::Refusal;
use super::protocol::Limits;
use super::publisher::Publisher;
use super::session::clock::Clock;
use super::session::lifecycle::Lifecycle;
use super::session::requests::Requests;
use super::session::subscriptions::{Breach, Caller, Culprit, FilterStatus, Interest, Report, Route, Subscriptions};
use super::session::topic_buffer::{Budget, BufferedMessage};
use super::status::Status;
use crate::config::{Config, Protocol, Session};
use crate::instance_id::instance_id;
use crate::message::{Qos, Received, TopicFilter};
use crate::metrics::{self, Stray};

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
    max_listeners: usize,
    max_requests: usize,
    listeners: AtomicUsize,
    budget: Arc<Budget>,
    random: RandomState,
    count: AtomicU64,
    /// The connection did not take an operation.
    is_left: AtomicBool,
}

struct State {
    table: Subscriptions,
    requests: Requests<Requester>,
    /// The status of all filters, until something changes.
    statuses: Option<Arc<[FilterStatus]>>,
    /// The connection takes SUBSCRIBE now.
    is_open: bool,
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
        table.reserve(requesting::response_filter(&response_base));
        let state = State {
            table,
            requests: Requests::new(),
            statuses: None,
            is_open: false,
            leaving: None,
            lifecycle: Lifecycle::Running,
        };
        Self(Arc::new(Shared {
            publisher,
            protocol: config.mqtt.protocol,
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock,
            response_base,
            max_listeners: config.http.max_listeners,
            max_requests: config.publish.max_waiting,
            listeners: AtomicUsize::new(0),
            budget: Arc::default(),
            random: RandomState::new(),
            count: AtomicU64::new(0),
            is_left: AtomicBool::new(false),
        }))
    }

    /// Subscribes to a filter, whose messages go to the journal. The caller gets the broker's answer, or a refusal
    /// after `timeout`. Without a success nothing changes.
    pub fn subscribe(&self, filter: &TopicFilter, qos: Qos, timeout: Duration, caller: Caller) {
        self.register(filter, Interest::Record(qos), timeout, caller);
    }

    /// Ends what [`Self::subscribe`] began. A filter that is not subscribed to is a success.
    pub fn unsubscribe(&self, filter: &TopicFilter, timeout: Duration, caller: Caller) {
        self.register(filter, Interest::Unsubscribe, timeout, caller);
    }

    fn register(&self, filter: &TopicFilter, interest: Interest, timeout: Duration, caller: Caller) {
        self.register_and(filter, interest, timeout, caller, |_| ());
    }

    /// The same, with a change of the state before anything is sent to the broker.
    fn register_and(
        &self,
        filter: &TopicFilter,
        interest: Interest,
        timeout: Duration,
        caller: Caller,
        then: impl FnOnce(&mut State),
    ) {
        let now = Instant::now();
        self.with_state(|state| {
            if state.lifecycle != Lifecycle::Running {
                return Some(caller);
            }
            state.table.register(filter, interest, (now, now + timeout), caller);
            then(state);
            None
        })
        .into_iter()
        .for_each(|caller| caller(Err(Refusal::Stopping)));
    }

    /// The status of the connection and of the filters.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut state = self.lock();
        let State { table, statuses, .. } = &mut *state;
        let statuses = statuses.get_or_insert_with(|| table.statuses().into()).clone();
        drop(state);
        Status { listeners: self.0.listeners.load(Ordering::Relaxed), ..self.0.publisher.status(statuses) }
    }

    /// Accepts nothing more, and ends every listener.
    pub fn stop_accepting(&self) {
        self.with_state(|state| {
            state.lifecycle = Lifecycle::Draining;
            state.table.buffers().for_each(|buffer| buffer.end());
            state.table.stop();
        });
    }

    /// Waits until no request awaits a response any more. At the deadline the rest get none.
    pub fn drain(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.0.changed.wait_timeout_while(self.lock(), left, |state| state.requests.len() > 0);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.lifecycle = Lifecycle::Ended;
        let requesters = state.requests.take_all();
        drop(state);
        requesters.into_iter().for_each(requesting::end_at_stop);
    }

    /// Settles callers, filters and requests whose deadline has come.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let deadline = state.next_deadline().filter(|_| state.lifecycle != Lifecycle::Ended);
        if deadline.is_none_or(|deadline| now < deadline) {
            drop(state);
            return self.0.clock.wake_at(deadline);
        }
        let requesters = state.requests.expire(now);
        drop(state);
        self.time_out(requesters);
        self.with_state(|state| state.table.expire(now));
    }

    /// A connection takes SUBSCRIBE from now on; with a `probation` only for one filter at a time, for so long after
    /// each answer.
    pub(super) fn connected(&self, session_present: bool, limits: Limits, probation: Option<Duration>) {
        self.with_state(|state| {
            state.is_open = true;
            state.table.connected(session_present, limits, probation, Instant::now());
        });
    }

    /// The connection ended over what the broker sent, or over an operation. Says over which filter.
    pub(super) fn breached(&self, breach: Breach) -> Culprit {
        self.with_state(|state| state.table.breached(breach, Instant::now()))
    }

    /// The connection takes no SUBSCRIBE for a while, or does again.
    pub(super) fn set_open(&self, is_open: bool) {
        self.with_state(|state| state.is_open = is_open);
    }

    /// The connection has ended.
    pub(super) fn disconnected(&self) {
        self.with_state(|state| {
            state.is_open = false;
            state.table.disconnected();
        });
    }

    /// Hands over operations that the connection did not take before.
    pub(super) fn dispatch(&self) {
        if self.0.is_left.load(Ordering::Relaxed) {
            self.with_state(|_| ());
        }
    }

    /// A SUBSCRIBE or an UNSUBSCRIBE was written.
    pub(super) fn written(&self, packet_identifier: u16) {
        self.lock().table.written(packet_identifier);
    }

    /// A SUBACK came. Returns what is to be logged.
    pub(super) fn subscribed(&self, packet_identifier: u16, answers: &[Result<u8, u8>]) -> Vec<Report> {
        let answered = self.with_state(|state| state.table.subscribed(packet_identifier, answers, Instant::now()));
        let Some((ordinal, reports)) = answered else {
            self.log_stray(packet_identifier);
            return Vec::new();
        };
        self.0.publisher.answered(ordinal);
        reports
    }

    /// An UNSUBACK came.
    pub(super) fn unsubscribed(&self, packet_identifier: u16, failure: Option<u8>) {
        let ordinal = self.with_state(|state| state.table.unsubscribed(packet_identifier, failure));
        if let Some(ordinal) = ordinal {
            self.0.publisher.answered(ordinal);
        } else {
            self.left_group();
            self.log_stray(packet_identifier);
        }
    }

    /// The broker answered without an operation. In a stop such answers are expected.
    fn log_stray(&self, packet_identifier: u16) {
        if self.lock().lifecycle == Lifecycle::Running && metrics::dropped_stray(Stray::UnknownPacket) {
            log::warn!(
                "the broker answered a SUBSCRIBE or an UNSUBSCRIBE with packet identifier {packet_identifier}, which \
                 waits for no such answer: others like it are counted alone"
            );
        }
    }

    /// Since when the oldest unanswered operation has been with the connection.
    pub(super) fn oldest_unanswered(&self) -> Option<Instant> {
        self.lock().table.oldest_unanswered()
    }

    /// The filters of the oldest SUBSCRIBE without an answer.
    pub(super) fn unanswered(&self) -> Vec<TopicFilter> {
        self.lock().table.unanswered()
    }

    /// Whether the broker has answered for everything that was wanted when the connection came about.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().table.is_settled()
    }

    /// Removes from a kept session what is not in the configuration, at the end of a connection, as far as there is
    /// room for that by the deadline.
    pub fn forget_run_time(&self, deadline: Instant) {
        let (of_file, foreign) = self.lock().table.to_leave();
        if !foreign.is_empty() && !self.0.publisher.leave_session(&of_file, &foreign, deadline) {
            log::warn!("the broker's session keeps topic filters that are not in the configuration");
        }
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

    /// Returns whether an operation had been left, and none is any more.
    fn hand_over(&self, state: &mut State) -> bool {
        // set before trying: `dispatch` reads it when there is room again
        let was_left = self.0.is_left.swap(true, Ordering::Relaxed);
        while let Some(operation) = state.table.next() {
            // the queue has room again when the connection has made its next step
            let Some(ordinal) = self.0.publisher.hand_over(&operation) else { return false };
            state.table.hand_over(&operation, ordinal, Instant::now());
        }
        self.0.is_left.store(false, Ordering::Relaxed);
        was_left
    }

    /// Uses a poisoned state as it is. A panic ends the process, except in the handler of a request, where it is
    /// caught.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_deadline(&self) -> Option<Instant> {
        self.table.next_deadline().into_iter().chain(self.requests.next_deadline()).min()
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}
