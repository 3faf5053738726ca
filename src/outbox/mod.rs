//! The outbox: messages that are kept on disk until the broker has them or their time is over, and the keys of
//! requests.
//!
//! 1. An endpoint hands over messages with the time that they have: [`Outbox::store`]. The thread `outbox` writes what
//!    came while it was writing in one transaction, and then tells those who asked. `worker/storing.rs`,
//!    `worker/batch.rs`, `store/`
//! 2. It gives stored messages to the connection in their order, a bounded number at a time. `worker/sending.rs`,
//!    `mqtt/publisher/stored.rs`
//! 3. What became of each is written too, and can be asked for until it is forgotten. `worker/looking_up.rs`
//! 4. Which messages there are, and which are due, is in memory. `ledger/`
//!
//! Only the thread `outbox` waits for the disk. The thread `outbox-clock` tells those whose time is over. `callers.rs`

mod answer;
mod callers;
mod commands;
mod id;
mod ledger;
mod not_stored;
mod status;
mod store;
mod stored;
mod view;
mod worker;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::answer::{Answer, KeyHash, KeyOf, KeyRecord};
pub use self::callers::{Callback, Done};
pub use self::commands::May;
pub use self::id::Id;
pub use self::not_stored::NotStored;
pub use self::status::OutboxStatus;
pub use self::store::{OpenError, row_again};
pub use self::stored::{Settled, Settlement, Stored};
pub use self::view::{Page, Query, State, TakenBack, View};

use self::callers::Callers;
use self::commands::{Command, Commands, Times};
use self::ledger::Limits;
use self::status::Board;
use self::store::{Loaded, Store};
use self::worker::Worker;
use crate::config;
use crate::memory::Share;
use crate::message::Message;
use crate::mqtt::Publisher;
use crate::thread::Watch;

/// An opened file, of which nothing is sent yet.
pub struct OutboxFile(Store, Loaded);

/// The outbox, or none. Clones share it.
#[derive(Clone, Default)]
pub struct Outbox(Option<Arc<Shared>>);

struct Shared {
    commands: Arc<Commands>,
    callers: Callers,
    board: Arc<Board>,
    keys: Mutex<Vec<(KeyHash, KeyRecord)>>,
}

impl OutboxFile {
    /// Opens the file, or makes it if there is none.
    ///
    /// # Errors
    /// If it is damaged, of another version, in use, or cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Store::open(path).map(|(store, loaded)| Self(store, loaded))
    }
}

/// How it starts and stops.
impl Outbox {
    /// Starts the threads, if there is a file. What an earlier process left is sent as soon as there is a broker.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(
        file: Option<OutboxFile>,
        config: &config::Outbox,
        publisher: &Publisher,
        watch: &Watch,
    ) -> io::Result<Self> {
        let Some(OutboxFile(store, mut loaded)) = file else { return Ok(Self(None)) };
        let limits = Limits { messages: config.max_messages, bytes: config.max_bytes, keep: config.keep };
        let keys = Mutex::new(std::mem::take(&mut loaded.keys));
        let (commands, board, callers) = (Arc::<Commands>::default(), Arc::<Board>::default(), Callers::default());
        let shared = (commands.clone(), board.clone());
        let woken = commands.clone();
        publisher.when_ready(move || woken.wake());
        let worker = Worker::new((store, loaded), limits, publisher.clone(), shared);
        watch.spawn("outbox", move || {
            worker.run();
            Ok(())
        })?;
        let clock = callers.clone();
        watch.spawn("outbox-clock", move || {
            clock.run();
            Ok(())
        })?;
        Ok(Self(Some(Arc::new(Shared { commands, callers, board, keys }))))
    }

    /// Stores and sends nothing more.
    pub fn stop_accepting(&self) {
        if let Some(shared) = &self.0 {
            shared.commands.stop();
        }
    }

    /// Begins to write what is known of messages that were sent, and to close the file.
    pub fn begin_close(&self) {
        if let Some(shared) = &self.0 {
            shared.commands.begin_close();
        }
    }

    /// Waits until the file is closed. Whoever still waits for the disk at the deadline is told that nothing is known.
    pub fn close(&self, deadline: Instant) {
        let Some(shared) = &self.0 else { return };
        if !shared.commands.close(deadline) {
            log::warn!("the outbox was not closed in time: the disk does not answer");
        }
        shared.callers.end();
    }
}

/// What endpoints ask for. Each callback is called after the timeout at the latest.
impl Outbox {
    /// Whether there is one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Stores messages, all or none, for at most this time from now on. `owner` is the name of the token or of the
    /// hook, or empty. If there is a key, its record is stored in the same transaction. `late` is called, once, if
    /// `done` was told [`NotStored::Unknown`] and more is known later. Must not block.
    pub fn store(
        &self,
        messages: Vec<(Message, Share)>,
        (ttl, owner): (Duration, &str),
        key: Option<KeyOf>,
        timeout: Duration,
        (done, late): (Done, Option<Done>),
    ) {
        let (times, owner) = (Times::now(ttl), owner.into());
        self.ask(timeout, done, |caller| Command::Store { messages, times, owner, key, caller, late });
    }

    /// Looks one up, among those of this owner, or among all.
    pub fn get(&self, id: Id, owner: Option<&str>, timeout: Duration, done: Callback<Option<View>>) {
        let owner = owner.map(Into::into);
        self.ask(timeout, done, |caller| Command::Get { id, owner, caller });
    }

    /// Lists some.
    pub fn list(&self, query: Query, timeout: Duration, done: Callback<Page>) {
        self.ask(timeout, done, |caller| Command::List { query, caller });
    }

    /// Takes one back that was not sent, if one may publish to its topic.
    pub fn take_back(&self, id: Id, owner: Option<&str>, may: May, timeout: Duration, done: Callback<TakenBack>) {
        let owner = owner.map(Into::into);
        self.ask(timeout, done, |caller| Command::TakeBack { id, owner, may, caller });
    }

    /// The keys that were stored by an earlier process, the oldest first. Call it once, at the start.
    #[must_use]
    pub fn take_keys(&self) -> Vec<(KeyHash, KeyRecord)> {
        let Some(shared) = &self.0 else { return Vec::new() };
        std::mem::take(&mut *shared.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores the record of a key. `done` is called when it is on disk, and at once where there is no outbox.
    pub fn put_key(&self, key: KeyHash, record: KeyRecord, timeout: Duration, done: Done) {
        if !self.is_on() {
            return done(Ok(Vec::new()));
        }
        self.ask(timeout, done, |caller| Command::PutKey { key, record, caller });
    }

    /// Stores the record of a key, or removes it, some time soon.
    pub fn update_key(&self, key: KeyHash, record: Option<KeyRecord>) {
        if let Some(shared) = &self.0 {
            shared.commands.tell(Command::UpdateKey { key, record });
        }
    }

    /// The state; `None` where there is no outbox.
    #[must_use]
    pub fn status(&self) -> Option<OutboxStatus> {
        self.0.as_ref().map(|shared| shared.board.status())
    }

    /// One whose thread does not run.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        let (commands, callers, board, keys) = Default::default();
        Self(Some(Arc::new(Shared { commands, callers, board, keys })))
    }

    /// How much waits for the thread.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |shared| shared.commands.waiting())
    }

    fn ask<T: Send + 'static>(
        &self,
        timeout: Duration,
        done: Callback<T>,
        command: impl FnOnce(callers::Caller<T>) -> Command,
    ) {
        let Some(shared) = &self.0 else { return done(Err(NotStored::Off)) };
        shared.commands.ask(command(shared.callers.caller(done, timeout)));
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}
