//! The thread `outbox`: it alone reads and writes the file.
//!
//! What was asked while it was writing is written next, in one transaction: so many connections share one wait for the
//! disk.

mod batch;
mod looking_up;
mod sending;
mod storing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::batch::{Batch, Trouble};
use self::looking_up::Lookup;
use self::sending::Fresh;
use super::callers::Done;
use super::commands::{Command, Commands, Due};
use super::ledger::{Ledger, Limits};
use super::status::Board;
use super::store::{Change, Loaded, Store};
use crate::mqtt::Publisher;
use crate::suspensions::Suspensions;

/// How often the thread looks whether the file system has room again.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(1);
/// Outcomes that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: usize = 1000;

pub struct Worker {
    commands: Arc<Commands>,
    board: Arc<Board>,
    publisher: Publisher,
    store: Store,
    /// Of the identifiers.
    file: u32,
    next_sequence: u64,
    contents: Contents,
    trouble: Option<Trouble>,
    /// Why the file system has no room for messages.
    no_space: Option<Arc<str>>,
    /// What is looked up when there is time.
    lookups: VecDeque<Lookup>,
    suspensions: Suspensions,
    is_stopping: bool,
}

/// What changes when a transaction is written.
pub struct Contents {
    pub ledger: Ledger,
    pub fresh: Fresh,
    /// Messages up to this one may be sent: so it is on disk, for the next process.
    pub given_up_to: u64,
    /// What became of messages and of keys, and is not on disk yet.
    pub unwritten: Vec<Change>,
    /// Who is told that nothing is stored when the file was opened again.
    pub uncertain: Vec<Done>,
}

impl Worker {
    /// A worker for an opened file.
    pub fn new(
        (store, loaded): (Store, Loaded),
        limits: Limits,
        publisher: Publisher,
        (commands, board): (Arc<Commands>, Arc<Board>),
    ) -> Self {
        let left: Vec<_> = loaded.queued.into_iter().chain(loaded.outcomes).collect();
        let given_up_to = loaded.given_up_to;
        let ledger = Ledger::new(limits, (&left, given_up_to), SystemTime::now(), Instant::now());
        let (file, next_sequence) = (loaded.file, loaded.next_sequence);
        let (unwritten, uncertain) = (Vec::new(), Vec::new());
        let contents = Contents { ledger, fresh: Fresh::default(), given_up_to, unwritten, uncertain };
        let worker = Self {
            commands,
            board,
            publisher,
            store,
            file,
            next_sequence,
            contents,
            trouble: None,
            lookups: VecDeque::new(),
            no_space: None,
            suspensions: Suspensions::new(),
            is_stopping: false,
        };
        worker.report();
        worker
    }

    /// Works until the queue is closed, and closes the file.
    pub fn run(mut self) {
        // at once, what an earlier process left
        self.work(Due { commands: VecDeque::new(), is_stopping: false });
        while let Some(due) = self.commands.wait(self.next_time(), self.is_stopping) {
            self.work(due);
        }
        // what was not sent is certain after an orderly end
        let up_to = self.contents.ledger.last_sent().unwrap_or(0);
        self.contents.unwritten.push(Change::Give { up_to });
        self.write(Batch::default());
        let commands = self.commands.clone();
        drop(self);
        commands.closed();
    }

    fn work(&mut self, due: Due) {
        if due.is_stopping && !self.is_stopping {
            self.is_stopping = true;
            // these stay queued; what is with the broker gets its time
            let _ = self.publisher.withdraw_all_stored();
        }
        let suspended = self.suspensions.more();
        if !suspended.is_zero() {
            self.contents.ledger.suspended(suspended);
        }
        let mut batch = Batch::default();
        for command in due.commands {
            self.take(command, &mut batch);
        }
        self.contents.ledger.wake(Instant::now());
        self.expire();
        self.forget(&mut batch);
        // what may be sent goes out while the rest is written
        self.send();
        self.let_go(&mut batch);
        self.write(batch);
        self.send();
        if self.no_space.is_some() {
            let _ = self.check_space(0);
        }
        self.report();
        self.look_up();
    }

    fn take(&mut self, command: Command, batch: &mut Batch) {
        match command {
            Command::Store { messages, times, owner, key, caller, late } => {
                self.store(messages, (times, owner), key, (caller, late), batch);
            }
            Command::PutKey { key, record, caller } => storing::put_key(key, record, caller, batch),
            Command::UpdateKey { key, record } => {
                let change = record.map_or(Change::RemoveKey { key }, |record| Change::PutKey { key, record });
                self.contents.unwritten.push(change);
            }
            Command::Get { id, owner, caller } => self.later(caller, move |worker| worker.get(id, owner.as_deref())),
            Command::List { query, caller } => self.later(caller, move |worker| worker.list(&query)),
            Command::TakeBack { id, owner, may, caller } => self.take_back(id, owner.as_deref(), &may, caller, batch),
            Command::Settled { sequence, outcome, is_late } => self.settled(sequence, outcome, is_late),
        }
    }

    fn forget(&mut self, batch: &mut Batch) {
        for sequence in self.contents.ledger.forgotten(SystemTime::now(), FORGOTTEN_AT_ONCE) {
            let forgotten = move |contents: &mut Contents, written: Result<(), _>| {
                if written.is_ok() {
                    contents.ledger.remove(sequence);
                }
            };
            batch.push(vec![Change::Forget { sequence }], forgotten);
        }
    }

    /// When there is something to do if nothing is asked.
    fn next_time(&self) -> Option<Instant> {
        let (now, ledger) = (Instant::now(), &self.contents.ledger);
        if !self.lookups.is_empty() {
            return Some(now);
        }
        let look = self.no_space.as_ref().map(|_| now + LOOK_FOR_SPACE);
        let retry = self.trouble.as_ref().map(Trouble::next_try);
        if self.trouble.as_ref().is_some_and(|trouble| trouble.over_at.is_none()) {
            return retry;
        }
        // one second longer, so that a clock that runs slowly does not keep the thread busy
        let forgotten = ledger.next_forgotten(SystemTime::now()).map(|left| now + left + Duration::from_secs(1));
        ledger.next_end().filter(|_| !self.is_stopping).into_iter().chain(forgotten).chain(retry).chain(look).min()
    }

    fn report(&self) {
        let trouble = self.trouble.as_ref().map(|trouble| trouble.words.clone()).or_else(|| self.no_space.clone());
        self.board.report(&self.contents.ledger, trouble);
    }
}

#[cfg(test)]
mod tests;
