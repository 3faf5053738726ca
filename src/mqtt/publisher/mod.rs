//! The way of messages to the broker. HTTP workers share it; only it holds the sending end of the current connection.

mod too_large;

mod dispatch;
mod own;
mod stopping;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use super::session::in_flight::Caller;

use self::dispatch::Alternation;
use self::too_large::TooLarge;
use super::client::Sender;
use super::outcome::Failure;
use super::protocol::{Acknowledgement, Connack, Limits, Retransmission, Window};
use super::reason::PACKET_TOO_LARGE;
use super::session::clock::Clock;
use super::session::heartbeat::Heartbeat;
use super::session::in_flight::{Aftermath, Blame, InFlight, OnWritten, Violation, Waiting, settle};
use super::session::lifecycle::Lifecycle;
use super::session::subscriptions::FilterStatus;
use super::status::{History, Settings, Status};
use crate::config::{Config, Protocol};
use crate::memory::{Memory, Share};
use crate::message::Message;

/// Accepts messages, hands them over to the current connection in order, and gives each caller the outcome.
#[derive(Clone)]
pub struct Publisher(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when the last message is settled in a stop, and when the connection is to end.
    changed: Condvar,
    clock: Arc<Clock>,
    /// The memory of all requests, including the messages of the table.
    memory: Memory,
    /// The configured one, in bytes; the broker announces its own with each connection.
    max_packet_size: u32,
    settings: Arc<Settings>,
    /// Of the MQTT thread.
    heartbeat: Heartbeat,
}

struct State {
    table: InFlight,
    history: History,
    connection: Option<(Box<dyn Sender>, Limits)>,
    /// How many connections there were, which is the number of the current one, or of the last.
    connections: u64,
    /// Packet identifier and QoS of received messages whose acknowledgement is not handed over yet.
    unsent: VecDeque<(u16, u8)>,
    alternation: Alternation,
    too_large: TooLarge,
    lifecycle: Lifecycle,
}

impl Publisher {
    pub(super) fn new(config: &Config, clock: Arc<Clock>) -> Self {
        let max_packet_size = config.mqtt.max_packet_size;
        let memory = Memory::for_requests(config.http.max_body.max(max_packet_size as usize));
        let table = InFlight::new(config.publish.max_waiting);
        let state = State {
            table,
            history: History::default(),
            connection: None,
            connections: 0,
            unsent: VecDeque::new(),
            alternation: Alternation::default(),
            too_large: TooLarge::default(),
            lifecycle: Lifecycle::Running,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock,
            memory,
            max_packet_size,
            settings: Arc::new(Settings::new(config)),
            heartbeat: Heartbeat::new(Instant::now()),
        }))
    }

    /// Accepts a message with its share of the [memory](Self::memory). The caller gets the outcome at once if the
    /// message cannot be sent at all, and after `timeout` at the latest. A message over which the broker would end the
    /// shared connection is refused here.
    pub fn publish(&self, message: Message, share: Share, timeout: Duration, caller: Caller) {
        self.publish_each([(message, share, None, caller)], timeout);
    }

    /// The same, with a second callback for when the message is written.
    pub(super) fn publish_and_report(
        &self,
        (message, share): (Message, Share),
        timeout: Duration,
        on_written: OnWritten,
        caller: Caller,
    ) {
        self.publish_each([(message, share, Some(on_written), caller)], timeout);
    }

    /// The same for many messages, which have one deadline and are accepted in their order, with no others in between.
    pub fn publish_all(&self, messages: Vec<(Message, Share, Caller)>, timeout: Duration) {
        self.publish_each(messages.into_iter().map(|(message, share, caller)| (message, share, None, caller)), timeout);
    }

    fn publish_each(
        &self,
        messages: impl IntoIterator<Item = (Message, Share, Option<OnWritten>, Caller)>,
        timeout: Duration,
    ) {
        let now = Instant::now();
        self.with_state(|state| {
            for (message, share, on_written, caller) in messages {
                let caller = Waiting { caller, on_written, qos: message.qos, since: now };
                match self.0.check(&message, Limits::default()) {
                    Err(failure) => state.table.reject(caller, failure),
                    Ok(()) if state.lifecycle != Lifecycle::Running => state.table.reject(caller, Failure::Stopping),
                    Ok(()) => state.table.accept(message, Some(share), now + timeout, caller),
                }
            }
            self.0.dispatch(state, now);
        });
    }

    /// The memory of all requests, including waiting messages.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// The status of the connection and of the topic filters.
    pub(super) fn status(&self, subscriptions: Arc<[FilterStatus]>) -> Status {
        let state = self.lock();
        let limits = state.connection.as_ref().map(|(_, limits)| limits);
        let announces = self.0.settings.protocol == Protocol::V5;
        Status {
            settings: self.0.settings.clone(),
            history: state.history.clone(),
            receive_maximum: limits.filter(|_| announces).map(|limits| limits.receive_maximum),
            window: state.table.window().map(|window| window.size),
            waiting: state.table.unsettled(),
            oldest_waiting: state.table.oldest_caller().map(|waiting| waiting.since.elapsed()).unwrap_or_default(),
            unacknowledged: state.table.unacknowledged(),
            stopping: state.lifecycle != Lifecycle::Running,
            subscriptions,
            listeners: 0,
        }
    }

    /// For how long the MQTT thread has been overdue, if it hangs.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        self.0.heartbeat.overdue(Instant::now())
    }

    /// Settles messages whose deadline has come.
    pub(super) fn expire(&self) {
        self.with_state(|state| state.table.expire(Instant::now()));
    }

    /// The MQTT thread is about to wait for so long at most.
    pub(super) fn announce(&self, now: Instant, wait: Duration) {
        self.0.heartbeat.announce(now, wait);
    }

    /// A connection came about. It takes no messages before [`Self::ready`]. Returns its number.
    pub(super) fn connected(&self, sender: Box<dyn Sender>, connack: &Connack) -> u64 {
        self.with_state(|state| {
            state.table.connected(connack.session_present);
            state.connection = Some((sender, connack.limits));
            state.history.connected(connack.terms.clone());
            state.connections += 1;
            state.connections
        })
    }

    /// Acknowledges a received message, but only on the connection that brought it: on another one its packet
    /// identifier may belong to another message.
    pub(super) fn acknowledge(&self, connection: u64, packet_identifier: u16, qos: u8) {
        let mut state = self.lock();
        if state.connection.is_some() && state.connections == connection {
            state.unsent.push_back((packet_identifier, qos));
            state.send_acknowledgements();
        }
    }

    /// Hands over acknowledgements that found no room before.
    pub(super) fn send_acknowledgements(&self) {
        self.lock().send_acknowledgements();
    }

    /// Connecting failed, or the connection ended.
    pub(super) fn failed(&self, error: &str) {
        self.lock().history.failed(error);
    }

    /// What a resumed session may send again now.
    pub(super) fn retransmissions(&self, receive_maximum: u16) -> Vec<Retransmission> {
        self.lock().table.retransmissions(receive_maximum, Instant::now())
    }

    /// How many messages were sent and are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.lock().table.unacknowledged()
    }

    /// The connection takes no messages before the broker has done `what`.
    pub(super) fn awaits(&self, what: &'static str) {
        self.lock().table.awaits(what);
    }

    /// The connection takes messages from now on.
    pub(super) fn ready(&self, window: Window) {
        self.with_state(|state| {
            state.table.ready(window);
            self.0.dispatch(state, Instant::now());
        });
    }

    /// Holds messages back, or no longer.
    pub(super) fn hold_back(&self, held: bool) {
        self.with_state(|state| {
            state.table.pause(held);
            self.0.dispatch(state, Instant::now());
        });
    }

    /// A PUBLISH was written. `flushed`: it has certainly left.
    pub(super) fn written(&self, packet_identifier: u16, flushed: bool) -> Result<(), Violation> {
        let on_written = self.with_state(|state| {
            let now = Instant::now();
            let on_written = state.table.written(packet_identifier, flushed, now)?;
            self.0.dispatch(state, now);
            Ok(on_written)
        })?;
        if let Some(report) = on_written {
            report();
        }
        Ok(())
    }

    /// An acknowledgement came.
    pub(super) fn acknowledged(
        &self,
        kind: Acknowledgement,
        packet_identifier: u16,
        code: Option<u8>,
        words: Option<Arc<str>>,
    ) -> Result<(), Violation> {
        self.with_state(|state| {
            state.table.acknowledged(kind, packet_identifier, code, words)?;
            self.0.dispatch(state, Instant::now());
            Ok(())
        })
    }

    /// Nothing more is handed over to the connection.
    pub(super) fn detach(&self) {
        let mut state = self.lock();
        state.connection = None;
        state.unsent.clear();
        state.alternation = Alternation::default();
        state.history.disconnected();
    }

    /// The connection ended, after everything that came on it was taken in.
    pub(super) fn lost(&self, session_may_be_kept: bool, blame: Blame) -> Aftermath {
        self.with_state(|state| {
            let aftermath = state.table.lost(session_may_be_kept, blame);
            // a DISCONNECT may have been about something else
            let is_size = matches!(blame, Blame::Message { code: PACKET_TOO_LARGE, is_certain: true });
            if let Some(refused) = aftermath.refused.as_ref().filter(|_| is_size) {
                self.0.learn(state, refused, Instant::now());
            }
            aftermath
        })
    }

    /// Since when the oldest unacknowledged message has been with the connection, and when one that was handed over,
    /// and not written, must not leave any more.
    pub(super) fn vital_times(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.lock();
        (state.table.oldest_unacknowledged(), state.table.overdue_at())
    }

    /// The MQTT client was interrupted. Returns whether it had a message.
    pub(super) fn interrupt(&self) -> bool {
        self.lock().table.interrupt()
    }

    /// Gives up retransmissions that a broker with these limits does not accept. Returns whether there was any.
    pub(super) fn give_up_retransmissions(&self, limits: Limits) -> bool {
        self.with_state(|state| state.table.give_up_retransmissions(|message| self.0.check(message, limits).is_ok()))
    }

    /// Changes the state, and then gives callers their outcomes, without the lock.
    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let settled = state.table.take_settled();
        let drained = state.lifecycle != Lifecycle::Running && state.table.unsettled() == 0;
        let deadline = state.table.next_deadline();
        drop(state);
        self.0.clock.wake_at(deadline);
        settle(settled);
        if drained {
            self.0.changed.notify_all();
        }
        result
    }

    /// Uses a poisoned state as it is. A panic ends the process, except in the handler of a request, where it is
    /// caught.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
