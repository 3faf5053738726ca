//! The way of messages to the broker. HTTP workers share it; only it holds the sending end of the current connection.

mod too_large;

mod acknowledging;
mod connection;
mod dispatch;
mod operations;
mod own;
mod status;
mod stopping;
mod stored;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use self::stored::StoredPublish;
pub use super::session::in_flight::{Caller, Callers, OnWritten};

use self::operations::Alternation;
use self::too_large::TooLarge;
use super::client::Sender;
use super::protocol::{Acknowledgement, Limits};
use super::session::clock::Clock;
use super::session::heartbeat::Heartbeat;
use super::session::in_flight::{InFlight, Violation, Waiting};
use super::session::lifecycle::Lifecycle;
use super::status::{History, Settings};
use crate::config::Config;
use crate::memory::{Memory, Share};
use crate::message::Message;
use crate::suspensions::Suspensions;

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
    /// See [`Publisher::when_ready`].
    on_ready: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
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
    /// `None` while there was no message of the outbox.
    suspensions: Option<Suspensions>,
}

impl Publisher {
    pub(super) fn new(config: &Config, clock: Arc<Clock>) -> Self {
        let max_packet_size = config.mqtt.max_packet_size;
        let memory = Memory::for_requests(config.http.max_body.max(max_packet_size as usize));
        let state = State { table: InFlight::new(config.publish.max_waiting), ..State::default() };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock,
            memory,
            max_packet_size,
            settings: Arc::new(Settings::new(config)),
            heartbeat: Heartbeat::new(Instant::now()),
            on_ready: OnceLock::new(),
        }))
    }

    /// One that no thread drives.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        let config = Config::parse("", &crate::config::Source::BuiltIn, &crate::config::Environment::default());
        Self::new(&config.expect("the defaults"), Arc::default())
    }

    /// Accepts a message with its share of the [memory](Self::memory). Its caller gets the outcome at once if the
    /// message cannot be sent at all, and after `timeout` at the latest. A message over which the broker would end the
    /// shared connection is refused here.
    pub fn publish(&self, message: Message, share: Share, timeout: Duration, callers: Callers) {
        self.publish_all([(message, share, callers)], timeout);
    }

    /// The same for many messages, which have one deadline and are accepted in their order, with no others in between.
    pub fn publish_all(&self, messages: impl IntoIterator<Item = (Message, Share, Callers)>, timeout: Duration) {
        let messages = messages.into_iter().map(|(message, share, callers)| (message, Some(share), None, callers));
        self.accept(messages, timeout, Lifecycle::Running);
    }

    /// Accepts messages in this phase only, and hands over what the connection takes now.
    fn accept(
        &self,
        messages: impl IntoIterator<Item = (Message, Option<Share>, Option<OnWritten>, Callers)>,
        timeout: Duration,
        phase: Lifecycle,
    ) {
        let now = Instant::now();
        self.with_state(|state| {
            for (message, share, on_written, callers) in messages {
                let caller = Waiting { callers, on_written, qos: message.qos, since: now };
                match self.0.admit(&message, state, phase) {
                    Err(failure) => state.table.reject(caller, failure),
                    Ok(()) => state.table.accept(message, share, now + timeout, caller),
                }
            }
            self.0.dispatch(state, now);
        });
    }

    /// Settles messages whose deadline has come.
    pub(super) fn expire(&self) {
        self.with_state(|state| state.table.expire(Instant::now()));
    }

    /// A PUBLISH was written. `flushed`: it was certainly sent.
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

    /// Changes the state, and then gives callers their outcomes, without the lock.
    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.notice_suspension();
        let result = change(&mut state);
        let settled = state.table.take_settled();
        let drained = state.lifecycle != Lifecycle::Running && state.table.is_drained();
        let deadline = state.table.next_deadline();
        drop(state);
        self.0.clock.wake_at(deadline);
        settled.call();
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
