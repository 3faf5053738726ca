//! Messages are looked up, listed and taken back.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Worker;
use super::batch::Batch;
use crate::message::Properties;
use crate::outbox::callers::Caller;
use crate::outbox::commands::May;
use crate::outbox::store::Change;
use crate::outbox::view::{Page, Query, State, TakenBack, View};
use crate::outbox::{Id, NotStored, Stored};

/// How long the thread looks things up at a time, and how many may wait for that.
const TIME: Duration = Duration::from_millis(20);
const MAX_WAITING: usize = 1000;

/// Looks something up, and tells who asked for it.
pub type Lookup = Box<dyn FnOnce(&mut Worker) + Send>;

impl Worker {
    /// Looks something up after what is to be stored and sent: many who ask do not hold that up.
    pub fn later<T: Send + 'static>(
        &mut self,
        caller: Caller<T>,
        look: impl FnOnce(&mut Self) -> Result<T, NotStored> + Send + 'static,
    ) {
        if self.lookups.len() >= MAX_WAITING {
            return caller.tell(Err(NotStored::Busy));
        }
        self.lookups.push_back(Box::new(move |worker| {
            if !caller.is_over() {
                caller.tell(look(worker));
            }
        }));
    }

    /// Looks things up for a short time.
    pub fn look_up(&mut self) {
        let began = Instant::now();
        while began.elapsed() < TIME
            && let Some(lookup) = self.lookups.pop_front()
        {
            lookup(self);
        }
    }

    /// One message, if its owner is this one.
    pub fn get(&mut self, id: Id, owner: Option<&str>) -> Result<Option<View>, NotStored> {
        let Some(state) = self.state(id, owner) else { return Ok(None) };
        Ok(self.read_one(id.sequence)?.map(|stored| self.view(id, state, stored)))
    }

    /// A page.
    pub fn list(&mut self, query: &Query) -> Result<Page, NotStored> {
        let listing = self.contents.ledger.list(query);
        let mut messages = Vec::with_capacity(listing.sequences.len());
        for sequence in listing.sequences {
            let id = Id { file: self.file, sequence };
            messages.extend(self.get(id, None)?);
        }
        let next = listing.next.map(|sequence| Id { file: self.file, sequence });
        Ok(Page { counts: listing.counts, bytes: listing.bytes, messages, next })
    }

    /// Takes a message back, if it was not sent.
    pub fn take_back(&mut self, id: Id, owner: Option<&str>, may: &May, caller: Caller<TakenBack>, batch: &mut Batch) {
        let sequence = id.sequence;
        let found = match self.get(id, owner) {
            Err(failure) => return caller.tell(Err(failure)),
            Ok(found) => found,
        };
        let verdict = match found {
            None => Some(TakenBack::Unknown),
            Some(view) if !may(&view.stored.message.topic) => Some(TakenBack::Denied),
            Some(view) if view.state != State::Queued => Some(TakenBack::Not(view.state)),
            Some(_) if !self.withdraw(sequence) => Some(TakenBack::Not(State::Sent)),
            Some(_) => None,
        };
        if let Some(verdict) = verdict {
            return caller.tell(Ok(verdict));
        }
        self.contents.ledger.hold(sequence);
        self.contents.fresh.take(sequence);
        batch.push(vec![Change::Remove { sequence }], move |contents, written| {
            match written {
                Ok(()) => contents.ledger.remove(sequence),
                Err(_) => contents.ledger.stored(sequence),
            }
            caller.tell(written.map(|()| TakenBack::Done));
        });
    }

    /// Whether a message is not with a connection any more, or never was.
    fn withdraw(&self, sequence: u64) -> bool {
        !self.contents.ledger.is_given(sequence) || self.publisher.withdraw_stored(sequence)
    }

    fn state(&self, id: Id, owner: Option<&str>) -> Option<State> {
        let entry = self.contents.ledger.get(id.sequence).filter(|_| id.file == self.file)?;
        entry.is_seen_by(owner).then(|| entry.state())
    }

    fn view(&self, id: Id, state: State, mut stored: Stored) -> View {
        // it is not shown, and a page has up to a thousand
        stored.message.payload = Bytes::new();
        stored.message.properties = Properties::default();
        // what is known, and not on disk yet
        let is_it = |change: &&Change| matches!(change, Change::Settle { sequence, .. } if *sequence == id.sequence);
        if let Some(Change::Settle { settled, .. }) = self.contents.unwritten.iter().rev().find(is_it) {
            stored.settled = Some(settled.clone());
        }
        View { id, state, stored }
    }

    fn read_one(&mut self, sequence: u64) -> Result<Option<Stored>, NotStored> {
        if let Some(trouble) = self.trouble.as_ref().filter(|_| !self.store.is_open()) {
            return Err(NotStored::Failing(trouble.words.clone()));
        }
        self.board.disk_begins();
        let read = self.store.get(sequence);
        self.board.disk_ends();
        read.map_err(|error| NotStored::Failing(self.note(&error, None)))
    }
}
