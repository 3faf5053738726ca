//! What workers clone and share: the one way out, which alone holds the current client of the MQTT library.

mod feed;
mod own;
mod stopping;
mod too_large;
mod waiting;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::feed::Turn;
pub(super) use self::own::Phase;
use self::too_large::TooLarge;
use self::waiting::{Waiting, tell};
use super::client::{Sender, Version};
use super::outcome::{Failure, Outcome};
use super::protocol::{Acknowledgement, Limits, Owed, Terms, Window};
use super::reason::PACKET_TOO_LARGE;
use super::session::heartbeat::Heartbeat;
use super::session::in_flight::{Aftermath, Blame, InFlight, Violation};
use super::session::subscriptions::Standing;
use super::status::{History, Settings, Status};
use crate::config::{Config, Protocol};
use crate::memory::{Memory, Share};
use crate::message::Message;

/// Is told, once, what became of a message. Must not wait.
pub type Caller = Box<dyn FnOnce(Outcome) + Send>;

/// Is told, once, that a message is written, before anything that comes from the broker after that. At QoS 0 its
/// [`Caller`] is told instead, which without this is told at the hand-over. Must not wait.
pub(super) type OnWritten = Box<dyn FnOnce() + Send>;

/// Takes messages, hands them over to the current connection in order, and tells what became of each.
#[derive(Clone)]
pub struct Publisher(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when a deadline comes sooner than the clock knows, when a stop begins, and when nothing waits any more.
    changed: Condvar,
    version: Version,
    /// What requests hold, the messages of the table among it.
    memory: Memory,
    /// Ours, in bytes; the broker's own comes with each connection.
    max_packet_size: u32,
    settings: Arc<Settings>,
    /// Of the thread that drives the connection.
    heartbeat: Heartbeat,
}

struct State {
    table: InFlight<Waiting>,
    history: History,
    connection: Option<(Box<dyn Sender>, Limits)>,
    /// How many connections there were: the number of the current one, or of the last.
    connections: u64,
    /// Packet identifier and QoS of received messages whose acknowledgement did not find room with the connection.
    unsent: VecDeque<(u16, u8)>,
    turn: Turn,
    too_large: TooLarge,
    stage: Stage,
    /// When the clock looks again.
    clock_set_to: Option<Instant>,
}

/// How far a stop has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Running,
    /// No further messages are accepted.
    Draining,
    /// Everything is settled: the connection ends, and the clock stands still.
    Ending,
}

impl Publisher {
    /// A publisher without a connection.
    pub(super) fn new(config: &Config) -> Self {
        let max_packet_size = config.mqtt.max_packet_size;
        let memory = Memory::for_requests(config.http.max_body.max(max_packet_size as usize));
        let table = InFlight::new(config.publish.max_waiting);
        let state = State {
            table,
            history: History::default(),
            connection: None,
            connections: 0,
            unsent: VecDeque::new(),
            turn: Turn::default(),
            too_large: TooLarge::default(),
            stage: Stage::Running,
            clock_set_to: None,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            version: Version::of(&config.mqtt),
            memory,
            max_packet_size,
            settings: Arc::new(Settings::new(config)),
            heartbeat: Heartbeat::new(Instant::now()),
        }))
    }

    /// Takes a message with its part of the [memory](Self::memory), and tells `caller` what became of it: at once if it cannot be sent at all, and after `timeout`
    /// at the latest. Nothing that the broker would end the shared connection for gets past here.
    pub fn publish(&self, message: Message, share: Share, timeout: Duration, caller: Caller) {
        self.publish_and_tell((message, share), timeout, None, caller);
    }

    /// The same, and tells when it is written, too.
    pub(super) fn publish_and_tell(
        &self,
        (message, share): (Message, Share),
        timeout: Duration,
        on_written: Option<OnWritten>,
        caller: Caller,
    ) {
        let now = Instant::now();
        let caller = Waiting { caller, on_written, qos: message.qos, since: now };
        if let Err(failure) = self.0.check(&message, Limits::default()) {
            return caller.tell(Err(failure), now);
        }
        self.with_state(|state| {
            if state.stage != Stage::Running {
                return state.table.reject(caller, Failure::Stopping);
            }
            state.table.accept(message, share, now + timeout, caller);
            self.0.feed(state, now);
        });
    }

    /// The same for many messages, which have one deadline and are taken in their order, with none in between.
    pub fn publish_all(&self, messages: Vec<(Message, Share, Caller)>, timeout: Duration) {
        let now = Instant::now();
        self.with_state(|state| {
            for (message, share, caller) in messages {
                let caller = Waiting { caller, on_written: None, qos: message.qos, since: now };
                match self.0.check(&message, Limits::default()) {
                    Err(failure) => state.table.reject(caller, failure),
                    Ok(()) if state.stage != Stage::Running => state.table.reject(caller, Failure::Stopping),
                    Ok(()) => state.table.accept(message, share, now + timeout, caller),
                }
            }
            self.0.feed(state, now);
        });
    }

    /// What all requests share, waiting messages among them.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// What is known of the connection now, and of the topic filters.
    pub(super) fn status(&self, subscriptions: Arc<[Standing]>) -> Status {
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
            stopping: state.stage != Stage::Running,
            subscriptions,
            listeners: 0,
        }
    }

    /// For how long the thread that drives the connection should have been heard of by now, if it hangs.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        self.0.heartbeat.overdue(Instant::now())
    }

    /// Tells callers whose deadline has come. Returns at the end of a stop.
    pub(super) fn run_clock(&self) {
        let mut state = self.lock();
        while state.stage != Stage::Ending {
            state.table.expire(Instant::now());
            let settled = state.table.take_settled();
            if !settled.is_empty() {
                drop(state);
                tell(settled);
                self.0.changed.notify_all();
                state = self.lock();
                continue;
            }
            let next = state.table.next_deadline();
            state.clock_set_to = next;
            state = match next {
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The thread that drives the connection is about to wait for so long at most.
    pub(super) fn announce(&self, now: Instant, wait: Duration) {
        self.0.heartbeat.announce(now, wait);
    }

    /// A connection came about; it takes nothing before [`Self::ready`]. Returns its number.
    pub(super) fn connected(
        &self,
        sender: Box<dyn Sender>,
        limits: Limits,
        session_present: bool,
        terms: Terms,
    ) -> u64 {
        self.with_state(|state| {
            state.table.connected(session_present);
            state.connection = Some((sender, limits));
            state.history.connected(terms);
            state.connections += 1;
            state.connections
        })
    }

    /// Acknowledges a received message to the broker, on the connection that brought it; on no other, where its packet
    /// identifier may be another message's by now.
    pub(super) fn acknowledge(&self, connection: u64, packet_identifier: u16, qos: u8) {
        let mut state = self.lock();
        if state.connection.is_some() && state.connections == connection {
            state.unsent.push_back((packet_identifier, qos));
            state.send_acknowledgements();
        }
    }

    /// Hands over the acknowledgements that there was no room for, as far as there is now.
    pub(super) fn send_acknowledgements(&self) {
        self.lock().send_acknowledgements();
    }

    /// Why there is no connection.
    pub(super) fn failed(&self, error: &str) {
        self.lock().history.failed(error);
    }

    /// What a resumed session owes and may be sent now.
    pub(super) fn owed(&self, receive_maximum: u16) -> Vec<Owed> {
        self.lock().table.owed(receive_maximum, Instant::now())
    }

    /// How many messages were sent and are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.lock().table.unacknowledged()
    }

    /// The connection takes no messages before the broker has done this.
    pub(super) fn awaits(&self, what: &'static str) {
        self.lock().table.awaits(what);
    }

    /// The connection takes messages from now on.
    pub(super) fn ready(&self, window: Window) {
        self.with_state(|state| {
            state.table.ready(window);
            self.0.feed(state, Instant::now());
        });
    }

    /// Holds back what could be handed over, or no longer.
    pub(super) fn hold_back(&self, held: bool) {
        self.with_state(|state| {
            state.table.pause(held);
            self.0.feed(state, Instant::now());
        });
    }

    /// A PUBLISH was written; `flushed` says whether it left us for certain.
    pub(super) fn written(&self, packet_identifier: u16, flushed: bool) -> Result<(), Violation> {
        let on_written = self.with_state(|state| {
            let now = Instant::now();
            let waiting = state.table.written(packet_identifier, flushed, now)?;
            let on_written = waiting.and_then(|waiting| waiting.on_written.take());
            self.0.feed(state, now);
            Ok(on_written)
        })?;
        if let Some(tell) = on_written {
            tell();
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
            self.0.feed(state, Instant::now());
            Ok(())
        })
    }

    /// Nothing more is handed over to the connection.
    pub(super) fn detach(&self) {
        let mut state = self.lock();
        state.connection = None;
        state.unsent.clear();
        state.turn = Turn::default();
        state.history.disconnected();
    }

    /// The connection ended, and what it left is told.
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

    /// Since when the oldest unacknowledged message has been with the connection, and when one that was handed over, and
    /// not written, must not leave any more.
    pub(super) fn vital_times(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.lock();
        (state.table.oldest_unacknowledged(), state.table.overdue_at())
    }

    /// The library was interrupted. Returns whether it had a message.
    pub(super) fn interrupt(&self) -> bool {
        self.lock().table.interrupt()
    }

    /// Gives up what is owed and cannot be sent to a broker with these limits; returns whether there was any.
    pub(super) fn give_up_owed(&self, limits: Limits) -> bool {
        self.with_state(|state| state.table.give_up_owed(|message| self.0.check(message, limits).is_ok()))
    }

    /// Changes the state, and tells callers afterwards, without the lock.
    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let settled = state.table.take_settled();
        let drained = state.stage != Stage::Running && state.table.unsettled() == 0;
        let sooner = match (state.table.next_deadline(), state.clock_set_to) {
            (Some(deadline), Some(set_to)) => deadline < set_to,
            (deadline, _) => deadline.is_some(),
        };
        drop(state);
        tell(settled);
        if drained || sooner {
            self.0.changed.notify_all();
        }
        result
    }

    /// A panic while the lock is held ends the process, so a poisoned state is never used for long.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
