//! Messages are stored.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::batch::Batch;
use super::{Contents, Worker};
use crate::memory::Share;
use crate::message::Message;
use crate::metrics;
use crate::outbox::callers::Caller;
use crate::outbox::ledger::Entry;
use crate::outbox::store::{Brief, Change, row_bytes};
use crate::outbox::{Id, KeyOf, NotStored, Stored};

impl Worker {
    /// Stores messages for this time, all or none.
    pub fn store(
        &mut self,
        messages: Vec<(Message, Share)>,
        (ttl, owner): (Duration, Box<str>),
        key: Option<KeyOf>,
        caller: Caller<Vec<Id>>,
        batch: &mut Batch,
    ) {
        // nobody would learn of it, and it may be published again
        if caller.is_over() {
            return;
        }
        let (messages, shares): (Vec<Message>, Vec<Share>) = messages.into_iter().unzip();
        let (since, now) = (SystemTime::now(), Instant::now());
        let stored = |message: Message| {
            let (size, owner) = (message.payload.len() as u64, owner.clone());
            Arc::new(Stored { message, size, owner, since, until: since + ttl, settled: None })
        };
        let stored: Vec<Arc<Stored>> = messages.into_iter().map(stored).collect();
        let sizes: Vec<u64> = stored.iter().map(|stored| row_bytes(stored)).collect();
        if let Err(refusal) = self.check(&owner, stored.len(), sizes.iter().sum(), now) {
            return caller.tell(Err(refusal));
        }
        let first = self.next_sequence;
        self.next_sequence += stored.len() as u64;
        batch.first_added.get_or_insert(first);
        let ids: Vec<Id> = (first..self.next_sequence).map(|sequence| Id { file: self.file, sequence }).collect();
        let mut changes = Vec::with_capacity(stored.len() + 1);
        for ((stored, size), id) in stored.iter().zip(sizes).zip(&ids) {
            let sequence = id.sequence;
            let (owner, until) = (stored.owner.clone(), stored.until);
            let brief = Brief { sequence, owner, size, since, until, settlement: None };
            self.contents.ledger.insert(sequence, Entry::new(&brief, now + ttl));
            changes.push(Change::Put { sequence, stored: stored.clone() });
        }
        if let Some(key) = key {
            let (key, record) = key(&ids);
            changes.push(Change::PutKey { key, record });
        }
        batch.push(changes, move |contents: &mut Contents, written: Result<(), NotStored>| {
            for (id, stored) in ids.iter().zip(stored) {
                match written {
                    Ok(()) => {
                        contents.ledger.stored(id.sequence);
                        contents.fresh.keep(id.sequence, stored);
                    }
                    Err(_) => contents.ledger.remove(id.sequence),
                }
            }
            if written.is_ok() {
                metrics::outbox().stored(ids.len());
            }
            drop(shares);
            caller.tell(written.map(|()| ids));
        });
    }

    fn check(&self, owner: &str, messages: usize, bytes: u64, now: Instant) -> Result<(), NotStored> {
        if self.is_stopping {
            return Err(NotStored::Stopping);
        }
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| now < trouble.retry_at) {
            return Err(NotStored::Failing(trouble.words.clone()));
        }
        self.contents.ledger.check_room(owner, messages, bytes)
    }
}
