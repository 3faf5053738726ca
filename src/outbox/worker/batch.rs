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

impl Worker {
    /// Writes a batch and what is unwritten, and tells those who wait for it.
    pub fn write(&mut self, batch: Batch) {
        let Batch { changes, after, first_added } = batch;
        let is_needed = !changes.is_empty() || !self.unwritten.is_empty() || self.trouble.is_some();
        let written = if is_needed { self.commit(&changes, first_added) } else { Ok(()) };
        for after in after {
            after(&mut self.contents, written.clone());
        }
    }

    fn commit(&mut self, changes: &[Change], first_added: Option<u64>) -> Result<(), NotStored> {
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| Instant::now() < trouble.retry_at) {
            return Err(NotStored::Failing(trouble.words.clone()));
        }
        let all: Vec<Change> = self.unwritten.iter().chain(changes).cloned().collect();
        let began = self.board.disk_begins();
        let reopened = match &self.trouble {
            Some(trouble) => self.store.reopen(trouble.first_unknown),
            None => Ok(()),
        };
        let written = reopened.and_then(|()| self.store.commit(&all));
        self.board.disk_ends();
        match written {
            Ok(()) => {
                metrics::outbox().written(began.elapsed());
                self.unwritten.clear();
                if self.trouble.take().is_some() {
                    log::info!("the outbox is written again");
                }
                Ok(())
            }
            Err(error) => Err(self.note(&error, first_added)),
        }
    }

    /// The disk failed. Nothing more is stored until it takes something again.
    pub fn note(&mut self, error: &StoreError, first_added: Option<u64>) -> NotStored {
        let words: Arc<str> = error.to_string().into();
        if self.trouble.is_none() {
            log::error!("the outbox cannot be used: {words}; messages for it are refused, and those in it stay there");
        }
        let first_added = first_added.unwrap_or(self.next_sequence);
        let (mut backoff, first_unknown) = self.trouble.take().map_or_else(
            || (Backoff::new(LONGEST_PAUSE), first_added),
            |trouble| (trouble.backoff, trouble.first_unknown.min(first_added)),
        );
        let retry_at = Instant::now() + backoff.pause(Duration::ZERO);
        self.trouble = Some(Trouble { words: words.clone(), retry_at, backoff, first_unknown });
        NotStored::Failing(words)
    }
}
