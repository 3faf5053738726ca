//! What the thread `outbox` is to do, in the order in which it was asked.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::callers::Caller;
use super::view::{Page, Query, TakenBack, View};
use super::{Done, Id, KeyHash, KeyOf, KeyRecord, NotStored};
use crate::memory::Share;
use crate::message::{Message, TopicName};
use crate::mqtt::Outcome;

/// Requests that may wait for the disk at a time. Their messages count for the memory of requests.
const MAX_REQUESTS: usize = 10_000;

/// Whether one may publish to a topic.
pub type May = Box<dyn Fn(&TopicName) -> bool + Send>;

/// What the thread is to do.
pub enum Command {
    /// Store messages, all or none.
    Store {
        messages: Vec<(Message, Share)>,
        times: Times,
        owner: Box<str>,
        key: Option<KeyOf>,
        caller: Caller<Vec<Id>>,
        /// Is told what became of it if the caller was told that nothing is known.
        late: Option<Done>,
    },
    /// Look one up, among those of this owner, or among all.
    Get { id: Id, owner: Option<Box<str>>, caller: Caller<Option<View>> },
    /// List some.
    List { query: Query, caller: Caller<Page> },
    /// Take one back that was not sent.
    TakeBack { id: Id, owner: Option<Box<str>>, may: May, caller: Caller<TakenBack> },
    /// Store a key.
    PutKey { key: KeyHash, record: KeyRecord, caller: Caller<Vec<Id>> },
    /// The same for nobody who waits; `None` removes it.
    UpdateKey { key: KeyHash, record: Option<KeyRecord> },
    /// The connection tells what became of a message. `is_late`: after it was told that nothing is known.
    Settled { sequence: u64, outcome: Outcome, is_late: bool },
}

/// When a request asked to store messages, by the clock of the system, and when their time is over. That does not wait
/// for the disk.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub since: SystemTime,
    pub until: SystemTime,
    pub end: Instant,
}

impl Times {
    /// From now on, for so long.
    pub fn now(ttl: Duration) -> Self {
        let since = SystemTime::now();
        Self { since, until: since + ttl, end: Instant::now() + ttl }
    }
}

impl Command {
    /// Tells who waits why nothing is done.
    fn refuse(self, refusal: NotStored) {
        match self {
            Self::Store { caller, late, .. } => caller.tell_or_late(Err(refusal), late),
            Self::PutKey { caller, .. } => caller.tell(Err(refusal)),
            Self::Get { caller, .. } => caller.tell(Err(refusal)),
            Self::List { caller, .. } => caller.tell(Err(refusal)),
            Self::TakeBack { caller, .. } => caller.tell(Err(refusal)),
            Self::UpdateKey { .. } | Self::Settled { .. } => {}
        }
    }
}

/// The queue.
#[derive(Default)]
pub struct Commands {
    state: Mutex<State>,
    /// Notified when there is a command, when nothing more is accepted, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    is_woken: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Running,
    /// Nothing more is stored.
    Stopping,
    /// The thread ends after what it has.
    Closing,
    /// The file is closed.
    Closed,
}

/// What is to be done now.
pub struct Due {
    /// In their order.
    pub commands: VecDeque<Command>,
    /// Nothing more is stored or sent.
    pub is_stopping: bool,
}

impl Commands {
    /// Adds a request, or refuses it if too many wait, or at the end.
    pub fn ask(&self, command: Command) {
        let state = self.lock();
        let refusal = match () {
            () if state.phase >= Phase::Closing => NotStored::Stopping,
            () if state.commands.len() >= MAX_REQUESTS => NotStored::Busy,
            () => return self.push(state, command),
        };
        drop(state);
        command.refuse(refusal);
    }

    /// Adds what must not be lost and is bounded elsewhere.
    pub fn tell(&self, command: Command) {
        self.push(self.lock(), command);
    }

    fn push(&self, mut state: MutexGuard<State>, command: Command) {
        state.commands.push_back(command);
        let is_first = state.commands.len() == 1;
        drop(state);
        if is_first {
            self.changed.notify_all();
        }
    }

    /// Wakes the thread: there is a connection.
    pub fn wake(&self) {
        self.lock().is_woken = true;
        self.changed.notify_all();
    }

    /// Waits until there is something to do, or for this time. `None` at the end.
    pub fn wait(&self, until: Option<Instant>, was_stopping: bool) -> Option<Due> {
        let mut state = self.lock();
        loop {
            let is_stopping = state.phase >= Phase::Stopping;
            let left = until.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            let is_woken = std::mem::take(&mut state.is_woken);
            if !state.commands.is_empty() || is_woken || is_stopping != was_stopping || left.is_zero() {
                return Some(Due { commands: std::mem::take(&mut state.commands), is_stopping });
            }
            if state.phase >= Phase::Closing {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stores nothing more.
    pub fn stop(&self) {
        self.advance(Phase::Stopping);
    }

    /// Lets the thread end.
    pub fn begin_close(&self) {
        self.advance(Phase::Closing);
    }

    /// Waits until the thread has closed the file. Returns whether it has.
    #[must_use]
    pub fn close(&self, deadline: Instant) -> bool {
        self.begin_close();
        let left = deadline.saturating_duration_since(Instant::now());
        let is_open = |state: &mut State| state.phase != Phase::Closed;
        let waited = self.changed.wait_timeout_while(self.lock(), left, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.phase == Phase::Closed
    }

    /// The file is closed.
    pub fn closed(&self) {
        self.advance(Phase::Closed);
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().commands.len()
    }

    fn advance(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase < phase {
            state.phase = phase;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
