//! Idempotency keys: a request that comes again gets the first answer, and publishes nothing.
//!
//! 1. [`Keys::begin`] finds the key of a request in the `table`. The first request gets a [`Running`], a repetition the
//!    answer. What is the same request says its `fingerprint`.
//! 2. Where there is an outbox, the first request is published when it is on disk that it runs: [`Running::record`].
//!    So a repetition after a restart does not publish again what an earlier process may have published.
//! 3. When its outcome is known, `settling` keeps the answer or frees the key, and does so again if more is known
//!    later.

mod fingerprint;
mod settling;
mod table;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

pub use self::fingerprint::Fingerprint;
pub use self::settling::{Outcomes, Settling, Tell};

use self::table::{Limits, Table};
use super::input::idempotency_key::IdempotencyKey;
use super::reply::{Reply, Told};
use crate::config::Config;
use crate::metrics::METRICS;
use crate::outbox::{Answer, KeyHash, KeyOf, KeyRecord, NotStored, Outbox};

/// Bytes of all answers.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one answer. A longer one would leave no room for others, or not even for itself.
const MAX_ANSWER: usize = MAX_BYTES / 4;

/// The keys, which all listeners share. Clones share them.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    outbox: Outbox,
}

/// What a request with a key is to do.
pub enum Begun {
    /// To publish.
    First(Running),
    /// To answer as the first request; `None` if the process that got it ended before the outcome was known.
    Repeats(Option<Answer>),
}

/// The first request with a key. If it is dropped before it was answered, the key is free again.
pub struct Running {
    keys: Keys,
    key: KeyHash,
    number: u64,
    record: KeyRecord,
    /// Whether it is to be stored that it runs.
    has_record: bool,
    /// Whether the outbox may have that.
    is_recorded: Arc<AtomicBool>,
}

impl Keys {
    /// The keys that the outbox has from earlier processes, with room for others.
    #[must_use]
    pub fn new(config: &Config, outbox: &Outbox) -> Self {
        let (keys, time) = (config.publish.idempotency_keys, config.publish.idempotency_ttl);
        let mut table = Table::new(Limits { keys, bytes: MAX_BYTES, time });
        let (now, wall_clock) = (Instant::now(), SystemTime::now());
        for (key, record) in outbox.take_keys() {
            let age = wall_clock.duration_since(record.since).unwrap_or_default();
            // the system may run for a shorter time than that
            table.load(key, record, now.checked_sub(age.min(time)).unwrap_or(now));
        }
        let keys = Self(Arc::new(Shared { table: Mutex::new(table), outbox: outbox.clone() }));
        keys.change(|_| {});
        keys
    }

    /// A request with this key begins. `owner` is the name of its token or hook, or empty: others do not share its
    /// keys. `stores`: its record is stored together with its messages.
    ///
    /// # Errors
    /// 409 while the first request runs, 422 if that was another one, 503 if there is no room for another key.
    pub fn begin(&self, key: &IdempotencyKey, owner: &str, request: [u8; 32], stores: bool) -> Result<Begun, Reply> {
        let key = hash(owner, key.as_str());
        let record = KeyRecord { owner: owner.into(), request, since: SystemTime::now(), answer: None };
        match self.change(|table| table.begin(key, record.clone(), Instant::now())) {
            table::Begun::First(number) => {
                let has_record = self.0.outbox.is_on() && !stores;
                let is_recorded = Arc::default();
                Ok(Begun::First(Running { keys: self.clone(), key, number, record, has_record, is_recorded }))
            }
            table::Begun::Repeats(answer) => {
                METRICS.repetitions.inc();
                Ok(Begun::Repeats(answer))
            }
            table::Begun::Runs => Err(Reply::key_runs()),
            table::Begun::Differs => Err(Reply::key_of_another_request()),
            table::Begun::Full => Err(Reply::too_many_keys()),
        }
    }

    /// Keys, and bytes of their answers.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.lock().size()
    }

    /// Changes the table, and removes from the outbox what has no room in it any more.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.lock();
        let result = change(&mut table);
        // under the lock, so that the records of a key are stored in their order
        for key in table.take_removed() {
            self.0.outbox.update_key(key, None);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Stores that the request runs. `then` is called when it is on disk, at once if there is no outbox, and after
    /// `timeout` at the latest.
    pub fn record(&self, timeout: Duration, then: Box<dyn FnOnce(Result<(), NotStored>) + Send>) {
        if self.has_record {
            self.is_recorded.store(true, Ordering::Relaxed);
            let is_recorded = self.is_recorded.clone();
            let done = Box::new(move |stored: Result<_, _>| {
                // the outbox itself undoes what it could not write
                if !matches!(stored, Ok(_) | Err(NotStored::Unknown)) {
                    is_recorded.store(false, Ordering::Relaxed);
                }
                then(stored.map(drop));
            });
            self.keys.0.outbox.put_key(self.key, self.record.clone(), timeout, done);
        } else {
            then(Ok(()));
        }
    }

    /// Makes the record that is stored together with messages: their identifiers are the answer, in this form.
    pub fn with_messages(&self, reply: impl FnOnce(Told<()>) -> Reply + Send + 'static) -> KeyOf {
        let (key, record) = (self.key, self.record.clone());
        Box::new(move |ids| {
            let answer = reply(Told::Stored(Ok(ids.to_vec()))).to_answer();
            (key, KeyRecord { answer: Some(answer), ..record })
        })
    }

    /// Keeps the answer, unless a later version of it is kept already. Of an answer that is too long it keeps only that
    /// there was one.
    pub fn answer(&self, version: u64, answer: Answer) {
        let is_short = answer.body.len() <= MAX_ANSWER;
        let answer = if is_short { answer } else { Reply::response_without_room().to_answer() };
        self.keys.change(|table| {
            if let Some(record) = table.answer(&self.key, self.number, version, answer).filter(|_| self.has_record) {
                self.keys.0.outbox.update_key(self.key, Some(record));
            }
        });
    }

    /// Keeps this reply if the request did something or may have done, or else frees the key.
    pub fn end(&self, reply: &Reply, is_done: bool) {
        if is_done { self.answer(1, reply.to_answer()) } else { self.free() }
    }

    /// The request certainly did nothing: a repetition may do it.
    pub fn free(&self) {
        self.keys.change(|table| {
            if table.free(&self.key, self.number) {
                self.remove_record();
            }
        });
    }

    /// Of a request that was not to be recorded yet there is nothing on disk, and the disk has nothing to do.
    fn remove_record(&self) {
        if self.is_recorded.load(Ordering::Relaxed) {
            self.keys.0.outbox.update_key(self.key, None);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keys.change(|table| {
            if table.abandon(&self.key, self.number) {
                self.remove_record();
            }
        });
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// SHA-256 of an owner and one of its keys.
fn hash(owner: &str, key: &str) -> KeyHash {
    let length = (owner.len() as u64).to_be_bytes();
    Sha256::new().chain_update(length).chain_update(owner).chain_update(key).finalize().into()
}

#[cfg(test)]
mod tests;
