//! What workers clone and share for the other half of MQTT: to subscribe, to read what comes, and to await answers.

mod asking;
mod leaving;
mod listening;

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use self::listening::Listener;

use self::asking::Asker;
use self::leaving::Leaving;
use super::client::Version;
use super::outcome::Refusal;
use super::protocol::Limits;
use super::publisher::Publisher;
use super::session::requests::Requests;
use super::session::subscriptions::{Answer, Breach, Culprit, Report, Route, Standing, Subscriptions, Unasked, Want};
use super::session::topic_buffer::{All, Event};
use super::status::Status;
use crate::config::{Config, Session};
use crate::instance_id::instance_id;
use crate::message::{Qos, Received, TopicFilter};
use crate::metrics::{self, Stray};

/// Is told, once, what the broker granted. Must not wait.
pub type Caller = Box<dyn FnOnce(Answer) + Send>;

/// Keeps the topic filters that are wanted, and hands on what comes for them.
#[derive(Clone)]
pub struct Subscriber(Arc<Shared>);

struct Shared {
    publisher: Publisher,
    version: Version,
    state: Mutex<State>,
    /// Notified when a deadline comes sooner than the clock knows, when a request ends, and when a stop begins.
    changed: Condvar,
    /// What all response topics of ours begin with.
    response_base: String,
    max_listeners: usize,
    max_requests: usize,
    listeners: AtomicUsize,
    channels: Arc<All>,
    random: RandomState,
    count: AtomicU64,
    /// Something did not find room with the connection.
    is_left: AtomicBool,
}

struct State {
    table: Subscriptions<Caller>,
    requests: Requests<Asker>,
    /// What is told of the table, until something changes.
    standings: Option<Arc<[Standing]>>,
    /// The connection takes SUBSCRIBE now.
    is_open: bool,
    /// A stop has come to where shared subscriptions end.
    leaving: Option<Leaving>,
    stage: Stage,
    /// When the clock looks again.
    clock_set_to: Option<Instant>,
}

/// How far a stop has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Nothing further is accepted.
    Draining,
    /// The clock stands still.
    Ended,
}

impl Subscriber {
    /// With the filters of the configuration.
    pub(super) fn new(config: &Config, publisher: Publisher) -> Self {
        let is_kept = config.mqtt.session != Session::Clean;
        let response_base = asking::response_base(&config.mqtt.client_id, instance_id());
        let mut table = Subscriptions::new(&config.subscribe, is_kept);
        table.reserve(asking::response_filter(&response_base));
        let state = State {
            table,
            requests: Requests::new(),
            standings: None,
            is_open: false,
            leaving: None,
            stage: Stage::Running,
            clock_set_to: None,
        };
        Self(Arc::new(Shared {
            publisher,
            version: Version::of(&config.mqtt),
            state: Mutex::new(state),
            changed: Condvar::new(),
            response_base,
            max_listeners: config.http.max_listeners,
            max_requests: config.publish.max_waiting,
            listeners: AtomicUsize::new(0),
            channels: Arc::default(),
            random: RandomState::new(),
            count: AtomicU64::new(0),
            is_left: AtomicBool::new(false),
        }))
    }

    /// Subscribes to a filter, whose messages go to the journal. The caller is told when the broker has answered, or
    /// after `timeout`; whatever is not a success leaves things as they were.
    pub fn subscribe(&self, filter: &TopicFilter, qos: Qos, timeout: Duration, caller: Caller) {
        self.want(filter, Want::Recorded(qos), timeout, caller);
    }

    /// Ends what [`Self::subscribe`] began. A filter that is not subscribed to is a success.
    pub fn unsubscribe(&self, filter: &TopicFilter, timeout: Duration, caller: Caller) {
        self.want(filter, Want::Unsubscribed, timeout, caller);
    }

    fn want(&self, filter: &TopicFilter, want: Want, timeout: Duration, caller: Caller) {
        self.want_and(filter, want, timeout, caller, |_| ());
    }

    /// The same, and then something before the broker is asked.
    fn want_and(
        &self,
        filter: &TopicFilter,
        want: Want,
        timeout: Duration,
        caller: Caller,
        then: impl FnOnce(&mut State),
    ) {
        let now = Instant::now();
        self.with_state(|state| {
            if state.stage != Stage::Running {
                return Some(caller);
            }
            state.table.want(filter, want, (now, now + timeout), caller);
            then(state);
            None
        })
        .into_iter()
        .for_each(|caller| caller(Err(Refusal::Stopping)));
    }

    /// What is known of the connection and of the filters now.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut state = self.lock();
        let State { table, standings, .. } = &mut *state;
        let standings = standings.get_or_insert_with(|| table.standings().into()).clone();
        drop(state);
        Status { listeners: self.0.listeners.load(Ordering::Relaxed), ..self.0.publisher.status(standings) }
    }

    /// Accepts nothing more, and lets every listener end.
    pub fn stop_accepting(&self) {
        self.with_state(|state| {
            state.stage = Stage::Draining;
            state.table.channels().for_each(|channel| channel.end());
            state.table.stop();
        });
    }

    /// Waits until no request awaits an answer any more, or the deadline has come: then each is told that there is none.
    pub fn drain(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.0.changed.wait_timeout_while(self.lock(), left, |state| state.requests.len() > 0);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.stage = Stage::Ended;
        let askers = state.requests.take_all();
        drop(state);
        self.0.changed.notify_all();
        askers.into_iter().for_each(asking::tell_stopping);
    }

    /// Tells those whose deadline has come. Returns at the end of a stop.
    pub(super) fn run_clock(&self) {
        loop {
            self.with_state(|state| state.table.expire(Instant::now()));
            self.expire_requests();
            let mut state = self.lock();
            if state.stage == Stage::Ended {
                return;
            }
            let next = state.next_deadline();
            state.clock_set_to = next;
            let wait = next.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            drop(self.0.changed.wait_timeout(state, wait.min(LONGEST_SLEEP)));
        }
    }

    /// A connection takes SUBSCRIBE from now on; with a `probation` for one filter at a time, each of which is watched for
    /// so long behind the broker's answer.
    pub(super) fn connected(&self, session_present: bool, limits: Limits, probation: Option<Duration>) {
        self.with_state(|state| {
            state.is_open = true;
            state.table.connected(session_present, limits, probation, Instant::now());
        });
    }

    /// The connection ended over what the broker sent, or over a question of ours. Says whose fault that is.
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

    /// Hands over what is to be asked of the broker and did not find room before.
    pub(super) fn feed(&self) {
        if self.0.is_left.load(Ordering::Relaxed) {
            self.with_state(|_| ());
        }
    }

    /// A SUBSCRIBE or an UNSUBSCRIBE was written.
    pub(super) fn written(&self, packet_identifier: u16) {
        self.lock().table.written(packet_identifier);
    }

    /// A SUBACK came. Returns what there is to be said of it.
    pub(super) fn subscribed(&self, packet_identifier: u16, answers: &[Result<u8, u8>]) -> Vec<Report> {
        let answered = self.with_state(|state| state.table.subscribed(packet_identifier, answers, Instant::now()));
        let Some((turn, reports)) = answered else {
            self.tell_stray(packet_identifier);
            return Vec::new();
        };
        self.0.publisher.answered(turn);
        reports
    }

    /// An UNSUBACK came.
    pub(super) fn unsubscribed(&self, packet_identifier: u16, failure: Option<u8>) {
        let turn = self.with_state(|state| state.table.unsubscribed(packet_identifier, failure));
        if let Some(turn) = turn {
            self.0.publisher.answered(turn);
        } else {
            self.left_group();
            self.tell_stray(packet_identifier);
        }
    }

    /// The broker answered what nobody asked, unless that is of a stop, which counts its answers itself.
    fn tell_stray(&self, packet_identifier: u16) {
        if self.lock().stage == Stage::Running && metrics::dropped_stray(Stray::UnknownPacket) {
            log::warn!(
                "the broker answered a SUBSCRIBE or an UNSUBSCRIBE with packet identifier {packet_identifier}, which \
                 waits for no such answer: others like it are counted alone"
            );
        }
    }

    /// Since when the oldest question that the broker has not answered is with it.
    pub(super) fn oldest_asked(&self) -> Option<Instant> {
        self.lock().table.oldest_asked()
    }

    /// The filters of our oldest SUBSCRIBE that the broker has not answered.
    pub(super) fn unanswered(&self) -> Vec<TopicFilter> {
        self.lock().table.unanswered()
    }

    /// Whether the broker has answered for all that was wanted when the connection came about.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().table.is_settled()
    }

    /// Lets a session that the broker keeps forget what is not in the configuration, at the end of a connection, as far as
    /// there is room for that by the deadline.
    pub fn forget_run_time(&self, deadline: Instant) {
        let (of_file, foreign) = self.lock().table.to_leave();
        if !foreign.is_empty() && !self.0.publisher.leave_session(&of_file, &foreign, deadline) {
            log::warn!("the broker's session keeps topic filters that are not in the configuration");
        }
    }

    /// To whom a message goes.
    pub(super) fn route(&self, message: &Received) -> Route {
        let mut state = self.lock();
        if let Some(leaving) = &mut state.leaving {
            leaving.received(Instant::now());
        }
        state.table.route(message)
    }

    /// Hands a message on to readers and askers; the journal is the caller's part.
    pub(super) fn deliver(&self, route: Route, message: &Arc<Received>) {
        // what the broker had kept was sent before the request
        if route.is_answer && !message.retain {
            self.answer(message);
        }
        if !route.channels.is_empty() {
            let event = Arc::new(Event::new(message.clone()));
            for (channel, kept) in route.channels {
                channel.push(event.clone(), kept);
            }
        }
    }

    /// Changes the state, hands over what follows from that, and tells callers afterwards, without the lock.
    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let was_left = state.is_open && self.hand_over(&mut state);
        let settled = state.table.take_settled();
        let unasked = state.table.take_unasked();
        state.standings = None;
        let sooner = match (state.next_deadline(), state.clock_set_to) {
            (Some(deadline), Some(set_to)) => deadline < set_to,
            (deadline, _) => deadline.is_some(),
        };
        drop(state);
        unasked.iter().for_each(Unasked::log);
        for (caller, answer) in settled {
            caller(answer);
        }
        if sooner {
            self.0.changed.notify_all();
        }
        if was_left {
            self.0.publisher.all_asked();
        }
        result
    }

    /// Returns whether something had been left, and is not any more.
    fn hand_over(&self, state: &mut State) -> bool {
        // before it is tried: whoever makes room looks here
        let was_left = self.0.is_left.swap(true, Ordering::Relaxed);
        while let Some(operation) = state.table.next() {
            // a place is free as soon as the connection has made its next step
            let Some(turn) = self.0.publisher.ask(&operation) else { return false };
            state.table.hand_over(&operation, turn, Instant::now());
        }
        self.0.is_left.store(false, Ordering::Relaxed);
        was_left
    }

    /// A panic while the lock is held ends the process, so a poisoned state is never used for long.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the clock sleeps where it is set to nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

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
