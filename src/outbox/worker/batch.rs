//! What is written in one transaction, and what follows from that; and how the thread goes on when the disk fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Contents, Worker};
use crate::backoff::Backoff;
use crate::metrics;
use crate::outbox::NotStored;
use crate::outbox::store::{Change, StoreError};

/// The longest pause between two tries on a disk that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A disk that takes something without messages for this time works again, though no message was stored. A full one
/// takes that too, and refuses the next message.
const TRIAL: Duration = Duration::from_secs(10);

/// Called when it is known whether the changes are on disk.
type After = Box<dyn FnOnce(&mut Contents, Result<(), NotStored>)>;

/// The changes that were asked for.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
    after: Vec<After>,
    /// The first message that the transaction adds.
    pub first_added: Option<u64>,
}

/// The disk fails.
pub struct Trouble {
    pub words: Arc<str>,
    pub retry_at: Instant,
    /// When it is over if nothing fails until then: the disk took something, but no message.
    pub over_at: Option<Instant>,
    backoff: Backoff,
    /// Messages from this number on were refused, and perhaps are in the file all the same.
    first_unknown: u64,
}

impl Batch {
    /// Adds changes, all of which are written or none.
    pub fn push(&mut self, changes: Vec<Change>, after: impl FnOnce(&mut Contents, Result<(), NotStored>) + 'static) {
        self.changes.extend(changes);
        self.after.push(Box::new(after));
    }
}

impl Trouble {
    /// When an empty transaction is to be tried.
    pub fn next_try(&self) -> Instant {
        self.over_at.unwrap_or(self.retry_at)
    }
}

impl Worker {
    /// Writes a batch and what is unwritten, and tells those who wait for it.
    pub fn write(&mut self, batch: Batch) {
        let Batch { changes, after, first_added } = batch;
        let is_due = self.trouble.as_ref().is_some_and(|trouble| trouble.next_try() <= Instant::now());
        let is_needed = !changes.is_empty() || !self.contents.unwritten.is_empty() || is_due;
        let written = if is_needed { self.commit(&changes, first_added) } else { Ok(()) };
        for after in after {
            after(&mut self.contents, written.clone());
        }
    }

    fn commit(&mut self, changes: &[Change], first_added: Option<u64>) -> Result<(), NotStored> {
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| Instant::now() < trouble.retry_at) {
            return Err(NotStored::Failing(trouble.words.clone()));
        }
        let all: Vec<Change> = self.contents.unwritten.iter().chain(changes).cloned().collect();
        let first_unknown = self.first_unknown(first_added);
        let began = self.board.disk_begins();
        let opened = if self.store.is_open() { Ok(()) } else { self.reopen(first_unknown) };
        let is_tried = opened.is_ok();
        let written = opened.and_then(|()| self.store.commit(&all));
        if is_tried && written.is_err() {
            self.undo_keys(changes);
        }
        // then none of it is there for certain; and what is there can be read where only writing fails
        let is_certain = written.is_ok() || !is_tried || self.reopen(first_unknown).is_ok();
        self.board.disk_ends();
        match written {
            Ok(()) => {
                metrics::outbox().written(began.elapsed());
                self.contents.unwritten.clear();
                for late in std::mem::take(&mut self.contents.uncertain) {
                    late(Err(NotStored::Busy));
                }
                self.passed(first_added.is_some());
                Ok(())
            }
            Err(error) => {
                let words = self.note(&error, first_added);
                Err(if is_certain { NotStored::Failing(words) } else { NotStored::Uncertain(words) })
            }
        }
    }

    /// A transaction succeeded. Messages are larger than all else, so that only one of them shows that there is room.
    fn passed(&mut self, has_messages: bool) {
        let Some(trouble) = &mut self.trouble else { return };
        let now = Instant::now();
        let over_at = *trouble.over_at.get_or_insert(now + TRIAL);
        if has_messages || over_at <= now {
            self.trouble = None;
            self.report();
            log::info!("the outbox is written again");
        }
    }

    /// The keys of a transaction that failed may be in the file: of requests that are refused, or of messages that are
    /// removed when it is opened again.
    fn undo_keys(&mut self, changes: &[Change]) {
        let undo = |change: &Change| match change {
            Change::PutKey { key, .. } => Some(Change::RemoveKey { key: *key }),
            _ => None,
        };
        self.contents.unwritten.extend(changes.iter().filter_map(undo));
    }

    fn reopen(&mut self, first_unknown: u64) -> Result<(), StoreError> {
        let removed = |change: &Change| if let Change::RemoveKey { key } = change { Some(*key) } else { None };
        let keys: Vec<_> = self.contents.unwritten.iter().filter_map(removed).collect();
        self.store.reopen(first_unknown, &keys)
    }

    fn first_unknown(&self, first_added: Option<u64>) -> u64 {
        let first_added = first_added.unwrap_or(self.next_sequence);
        self.trouble.as_ref().map_or(first_added, |trouble| trouble.first_unknown.min(first_added))
    }

    /// The disk failed. Nothing more is stored until it takes something again. Returns the words for it.
    pub fn note(&mut self, error: &StoreError, first_added: Option<u64>) -> Arc<str> {
        let words: Arc<str> = error.to_string().into();
        if self.trouble.is_none() {
            log::error!("the outbox cannot be used: {words}; messages for it are refused, and those in it stay there");
        }
        let first_unknown = self.first_unknown(first_added);
        let mut backoff = self.trouble.take().map_or_else(|| Backoff::new(LONGEST_PAUSE), |trouble| trouble.backoff);
        let retry_at = Instant::now() + backoff.pause(Duration::ZERO);
        self.trouble = Some(Trouble { words: words.clone(), retry_at, over_at: None, backoff, first_unknown });
        words
    }
}
