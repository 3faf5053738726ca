//! The tables of the file.

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::codec::{decode, decode_key};
use super::error::Fault;
use super::loaded::{Brief, Loaded};
use crate::outbox::{KeyHash, KeyRecord, Stored};

/// Numbers about the file: [`FORMAT`], [`FILE`], [`NEXT`] and [`GIVEN`].
pub const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Messages that are to be sent, by their sequence.
pub const QUEUED: TableDefinition<u64, &[u8]> = TableDefinition::new("queued");
/// What became of messages, by their sequence.
pub const OUTCOMES: TableDefinition<u64, &[u8]> = TableDefinition::new("outcomes");
/// Idempotency keys.
pub const KEYS: TableDefinition<&KeyHash, &[u8]> = TableDefinition::new("keys");

/// The version of these tables and of their rows.
pub const FORMAT: &str = "format";
/// The random number of the file.
pub const FILE: &str = "file";
/// The sequence of the next message. It is kept because that of the last message must not be used again after this one
/// is forgotten.
pub const NEXT: &str = "next";
/// Messages up to this sequence may have been sent. It is missing while none was.
pub const GIVEN: &str = "given";

/// The format that this version writes, and the only one that it reads.
const VERSION: u64 = 1;

/// Makes the tables of a new file.
pub fn make(database: &Database, file: u32) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    fill(&transaction, file)?;
    Ok(transaction.commit()?)
}

fn fill(transaction: &WriteTransaction, file: u32) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    for (name, number) in [(FORMAT, VERSION), (FILE, file.into()), (NEXT, 1)] {
        meta.insert(name, number)?;
    }
    transaction.open_table(QUEUED)?;
    transaction.open_table(OUTCOMES)?;
    transaction.open_table(KEYS)?;
    Ok(())
}

/// Reads all tables. Every row is decoded, so that none can be found damaged later.
pub fn load(database: &Database) -> Result<Loaded, Fault> {
    let transaction = database.begin_read()?;
    let [format, file, next, given_up_to] = meta(&transaction)?;
    if format != VERSION {
        return Err(Fault::Version(format!("format {format}")));
    }
    let file = u32::try_from(file).map_err(|_| Fault::Damaged("its number is too large".to_owned()))?;
    let queued = briefs(&transaction, QUEUED)?;
    let outcomes = briefs(&transaction, OUTCOMES)?;
    let last = queued.last().into_iter().chain(outcomes.last()).map(|brief| brief.sequence).max().unwrap_or(0);
    let next_sequence = next.max(last.saturating_add(1));
    Ok(Loaded { file, next_sequence, given_up_to, queued, outcomes, keys: keys(&transaction)? })
}

fn meta(transaction: &ReadTransaction) -> Result<[u64; 4], Fault> {
    let table = transaction.open_table(META)?;
    let number = |name| {
        let number = table.get(name)?.map(|number| number.value());
        number.ok_or_else(|| Fault::Damaged(format!("it has no `{name}`")))
    };
    // the format first: another one may have other numbers
    match number(FORMAT)? {
        VERSION => {
            let given = table.get(GIVEN)?.map_or(0, |number| number.value());
            Ok([VERSION, number(FILE)?, number(NEXT)?, given])
        }
        other => Ok([other, 0, 0, 0]),
    }
}

fn briefs(transaction: &ReadTransaction, table: TableDefinition<u64, &[u8]>) -> Result<Vec<Brief>, Fault> {
    let is_queued = table.to_string() == QUEUED.to_string();
    let table = transaction.open_table(table)?;
    let mut briefs = Vec::new();
    for row in table.iter()? {
        let (sequence, row) = row?;
        let (sequence, row) = (sequence.value(), row.value());
        let stored = stored(sequence, row)?;
        if stored.settled.is_none() != is_queued {
            return Err(Fault::Damaged(format!("message {sequence}: it is in the wrong table")));
        }
        briefs.push(Brief {
            sequence,
            owner: stored.owner,
            size: row.len() as u64,
            since: stored.since,
            until: stored.until,
            settlement: stored.settled.map(|settled| (settled.at, settled.result)),
        });
    }
    Ok(briefs)
}

fn keys(transaction: &ReadTransaction) -> Result<Vec<(KeyHash, KeyRecord)>, Fault> {
    let table = transaction.open_table(KEYS)?;
    let mut keys = Vec::new();
    for row in table.iter()? {
        let (key, record) = row?;
        let record = decode_key(record.value()).map_err(|error| Fault::Damaged(format!("a key: {error}")))?;
        keys.push((*key.value(), record));
    }
    keys.sort_by_key(|(_, record)| record.since);
    Ok(keys)
}

/// A message, queued or settled.
pub fn get(database: &Database, sequence: u64) -> Result<Option<Stored>, Fault> {
    let transaction = database.begin_read()?;
    for table in [QUEUED, OUTCOMES] {
        let table = transaction.open_table(table)?;
        if let Some(row) = table.get(sequence)? {
            return stored(sequence, row.value()).map(Some);
        }
    }
    Ok(None)
}

/// Queued messages from this sequence on, until there are `count`, or their rows have `bytes`.
pub fn queued_from(
    database: &Database,
    sequence: u64,
    count: usize,
    bytes: usize,
) -> Result<Vec<(u64, Stored)>, Fault> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(QUEUED)?;
    let mut messages = Vec::new();
    let mut taken = 0;
    for row in table.range(sequence..)? {
        let (sequence, row) = row?;
        messages.push((sequence.value(), stored(sequence.value(), row.value())?));
        taken += row.value().len();
        if messages.len() >= count || taken >= bytes {
            break;
        }
    }
    Ok(messages)
}

fn stored(sequence: u64, row: &[u8]) -> Result<Stored, Fault> {
    decode(row).map_err(|error| Fault::Damaged(format!("message {sequence}: {error}")))
}

/// Whether one of these keys is there.
pub fn has_one_of(database: &Database, keys: &[KeyHash]) -> Result<bool, Fault> {
    let table = database.begin_read()?.open_table(KEYS)?;
    for key in keys {
        if table.get(key)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sequence of the last message, queued or settled.
pub fn last(database: &Database) -> Result<Option<u64>, Fault> {
    let transaction = database.begin_read()?;
    let last = |table| {
        let table: redb::ReadOnlyTable<u64, &[u8]> = transaction.open_table(table)?;
        let last = table.last()?.map(|(sequence, _)| sequence.value());
        Ok::<_, Fault>(last)
    };
    Ok(last(QUEUED)?.max(last(OUTCOMES)?))
}
