//! Messages are stored.

use std::sync::Arc;
use std::time::Instant;

use super::batch::Batch;
use super::{Contents, Worker};
use crate::memory::Share;
use crate::message::Message;
use crate::metrics;
use crate::outbox::callers::Caller;
use crate::outbox::commands::Times;
use crate::outbox::ledger::Entry;
use crate::outbox::store::{Brief, Change, row_bytes};
use crate::outbox::{Done, Id, KeyHash, KeyOf, KeyRecord, NotStored, Stored};

/// Stores a key, unless its request has been told that nothing is known: the key is free again, and that may be written
/// before this.
pub fn put_key(key: KeyHash, record: KeyRecord, caller: Caller<Vec<Id>>, batch: &mut Batch) {
    if !caller.is_over() {
        batch.push(vec![Change::PutKey { key, record }], move |_, written| caller.tell(written.map(|()| Vec::new())));
    }
}

impl Worker {
    /// Stores messages for this time, all or none.
    pub fn store(
        &mut self,
        messages: Vec<(Message, Share)>,
        (Times { since, until, end }, owner): (Times, Box<str>),
        key: Option<KeyOf>,
        (caller, late): (Caller<Vec<Id>>, Option<Done>),
        batch: &mut Batch,
    ) {
        // nobody would learn of it, and it may be published again
        if caller.is_over() {
            return caller.tell_or_late(Err(NotStored::Busy), late);
        }
        let (messages, shares): (Vec<Message>, Vec<Share>) = messages.into_iter().unzip();
        let stored = |message: Message| {
            let (size, owner) = (message.payload.len() as u64, owner.clone());
            Arc::new(Stored { message, size, owner, since, until, settled: None })
        };
        let stored: Vec<Arc<Stored>> = messages.into_iter().map(stored).collect();
        let sizes: Vec<u64> = stored.iter().map(|stored| row_bytes(stored)).collect();
        if let Err(refusal) = self.check(&owner, stored.len(), sizes.iter().sum()) {
            return caller.tell_or_late(Err(refusal), late);
        }
        let first = self.next_sequence;
        self.next_sequence += stored.len() as u64;
        batch.first_added.get_or_insert(first);
        let ids: Vec<Id> = (first..self.next_sequence).map(|sequence| Id { file: self.file, sequence }).collect();
        let mut changes = Vec::with_capacity(stored.len() + 1);
        for ((stored, size), id) in stored.iter().zip(sizes).zip(&ids) {
            let sequence = id.sequence;
            let owner = stored.owner.clone();
            let brief = Brief { sequence, owner, size, since, until, settlement: None };
            self.contents.ledger.insert(sequence, Entry::new(&brief, end));
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
            if matches!(written, Err(NotStored::Uncertain(_))) {
                contents.uncertain.extend(late);
                return caller.tell(written.map(|()| ids));
            }
            caller.tell_or_late(written.map(|()| ids), late);
        });
    }

    fn check(&mut self, owner: &str, messages: usize, bytes: u64) -> Result<(), NotStored> {
        if self.is_stopping {
            return Err(NotStored::Stopping);
        }
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| Instant::now() < trouble.retry_at) {
            return Err(NotStored::Failing(trouble.words.clone()));
        }
        self.contents.ledger.check_room(owner, messages, bytes)?;
        self.check_space(bytes).map_err(NotStored::Failing)
    }

    /// Whether the file system has room for messages. If not, it is told once, until there is.
    pub fn check_space(&mut self, bytes: u64) -> Result<(), Arc<str>> {
        let Err(error) = self.store.check_space(bytes) else {
            if self.no_space.take().is_some() {
                log::info!("the outbox has room again");
            }
            return Ok(());
        };
        let words: Arc<str> = error.to_string().into();
        if self.no_space.replace(words.clone()).is_none() {
            log::error!("the outbox takes no messages: {words}; those in it are sent as before");
        }
        Err(words)
    }
}
