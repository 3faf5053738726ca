//! What a transaction changes.

use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use redb::{Key, Table, WriteTransaction};

use super::codec::{decode, encode, encode_key};
use super::error::Fault;
use super::tables::{GIVEN, KEYS, META, NEXT, OUTCOMES, QUEUED};
use crate::message::Properties;
use crate::outbox::{KeyHash, KeyRecord, Settled, Stored};

/// A change of the file. Each of them can be repeated: it then changes nothing more.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds a message that is to be sent.
    Put {
        /// Its order; larger than all before.
        sequence: u64,
        /// The message, not settled.
        stored: Arc<Stored>,
    },
    /// Moves a queued message to the outcomes, without its payload and its properties. An outcome that
    /// is there is replaced; if there is neither, nothing.
    Settle {
        /// Its order.
        sequence: u64,
        /// What became of it.
        settled: Settled,
    },
    /// Messages up to this sequence may be sent from now on.
    Give {
        /// The sequence of the last one.
        up_to: u64,
    },
    /// Removes a queued message.
    Remove {
        /// Its order.
        sequence: u64,
    },
    /// Removes an outcome.
    Forget {
        /// The order of its message.
        sequence: u64,
    },
    /// Adds or replaces an idempotency key.
    PutKey {
        /// The key.
        key: KeyHash,
        /// What is known of its request.
        record: KeyRecord,
    },
    /// Removes an idempotency key.
    RemoveKey {
        /// The key.
        key: KeyHash,
    },
}

/// The tables, open for changes.
struct Tables<'a> {
    queued: Table<'a, u64, &'static [u8]>,
    outcomes: Table<'a, u64, &'static [u8]>,
    keys: Table<'a, &'static KeyHash, &'static [u8]>,
    meta: Table<'a, &'static str, u64>,
}

/// Makes the changes, in their order.
pub fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<(), Fault> {
    let mut tables = Tables::open(transaction)?;
    let mut last = None;
    for change in changes {
        if let Change::Put { sequence, .. } = change {
            last = last.max(Some(*sequence));
        }
        tables.make(change)?;
    }
    match last {
        Some(last) => tables.set(NEXT, last.saturating_add(1)),
        None => Ok(()),
    }
}

/// Removes all messages from a sequence on, also settled ones, and keys.
pub fn remove_from(transaction: &WriteTransaction, sequence: u64, keys: &[KeyHash]) -> Result<(), Fault> {
    for table in [QUEUED, OUTCOMES] {
        transaction.open_table(table)?.retain_in(sequence.., |_, _| false)?;
    }
    let mut table = transaction.open_table(KEYS)?;
    keys.iter().try_for_each(|key| remove(&mut table, key))
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            queued: transaction.open_table(QUEUED)?,
            outcomes: transaction.open_table(OUTCOMES)?,
            keys: transaction.open_table(KEYS)?,
            meta: transaction.open_table(META)?,
        })
    }

    fn make(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Put { sequence, stored } => put(&mut self.queued, *sequence, &encode(stored)),
            Change::Settle { sequence, settled } => self.settle(*sequence, settled),
            Change::Give { up_to } => self.set(GIVEN, *up_to),
            Change::Remove { sequence } => remove(&mut self.queued, *sequence),
            Change::Forget { sequence } => remove(&mut self.outcomes, *sequence),
            Change::PutKey { key, record } => put(&mut self.keys, key, &encode_key(record)),
            Change::RemoveKey { key } => remove(&mut self.keys, key),
        }
    }

    fn settle(&mut self, sequence: u64, settled: &Settled) -> Result<(), Fault> {
        // what is known later takes the place of what was known before
        let row = match take(&mut self.queued, sequence)? {
            Some(row) => row,
            None => match take(&mut self.outcomes, sequence)? {
                Some(row) => row,
                None => return Ok(()),
            },
        };
        let mut stored = decode(&row).map_err(|error| Fault::Damaged(format!("message {sequence}: {error}")))?;
        stored.message.payload = Bytes::new();
        stored.message.properties = Properties::default();
        stored.settled = Some(settled.clone());
        put(&mut self.outcomes, sequence, &encode(&stored))
    }

    fn set(&mut self, name: &'static str, sequence: u64) -> Result<(), Fault> {
        self.meta.insert(name, sequence)?;
        Ok(())
    }
}

fn put<'k, K: Key>(
    table: &mut Table<K, &'static [u8]>,
    key: impl Borrow<K::SelfType<'k>>,
    row: &[u8],
) -> Result<(), Fault> {
    table.insert(key, row)?;
    Ok(())
}

fn take(table: &mut Table<u64, &'static [u8]>, sequence: u64) -> Result<Option<Vec<u8>>, Fault> {
    Ok(table.remove(sequence)?.map(|row| row.value().to_vec()))
}

fn remove<'k, K: Key>(table: &mut Table<K, &'static [u8]>, key: impl Borrow<K::SelfType<'k>>) -> Result<(), Fault> {
    table.remove(key)?;
    Ok(())
}
