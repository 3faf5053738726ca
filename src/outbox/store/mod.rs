//! The file of the outbox. One thread uses it; every call waits for the disk.
//!
//! It is a database of redb: each transaction is on disk as a whole or not at all, and takes one fsync. If the process
//! ends without closing it, the next one reads all of it, and finds out again which pages are free.

mod change;
mod codec;
mod error;
mod file;
mod loaded;
mod tables;
#[cfg(test)]
pub mod tests;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::Database;
use redb::backends::FileBackend;

use self::error::Fault;
use super::{KeyHash, Stored};

pub use self::change::Change;
pub use self::error::{OpenError, StoreError};
pub use self::loaded::{Brief, Loaded};

/// Bytes of pages in memory. What is read is read once; those that a transaction changes are what counts.
const CACHE: usize = 8 * 1024 * 1024;

/// Bytes of the file system that messages leave free, on one that is not small.
const RESERVE: u64 = 8 * 1024 * 1024;

/// The file.
pub struct Store {
    path: PathBuf,
    /// `None` after an error, until it is opened again.
    database: Option<Database>,
}

/// The bytes of the row of a message, which count for `max-bytes`. The file is larger: pages are half empty at worst.
#[must_use]
pub fn row_bytes(stored: &Stored) -> u64 {
    codec::encode(stored).len() as u64
}

/// Reads the row of a message, and writes it again: what the fuzzer tries.
///
/// # Errors
/// If it is no such row, in one line.
pub fn row_again(row: &[u8]) -> Result<Vec<u8>, String> {
    codec::decode(row).map(|stored| codec::encode(&stored)).map_err(|error| error.to_string())
}

impl Store {
    /// Opens the file, or makes a new one if there is nothing at this path. All of the file is checked: pages against
    /// their checksums, and each row. A file that a killed process has left is repaired.
    ///
    /// # Errors
    /// If there is something that cannot be used as it is; it stays as it is then. If the disk fails.
    pub fn open(path: &Path) -> Result<(Self, Loaded), OpenError> {
        let (database, loaded) = guarded(|| {
            if !file::exists(path)? {
                file::create(path, make)?;
            }
            let database = database(path)?;
            let loaded = tables::load(&database)?;
            Ok((database, loaded))
        })
        .map_err(|fault| OpenError::new(path, fault))?;
        Ok((Self { path: path.to_owned(), database: Some(database) }, loaded))
    }

    /// Makes changes in their order, all or none. They are on disk when it returns.
    ///
    /// # Errors
    /// Whether they were made is unknown then: the file takes and gives nothing until [`Self::reopen`].
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let result = guarded(|| commit(self.opened()?, |transaction| change::apply(transaction, changes)));
        result.map_err(|fault| self.fail(fault))
    }

    /// Opens the file again after an error, and removes every message from this sequence on, settled or not, and these
    /// keys: those of the transaction that failed. Its other changes were all made, or none; each of them can be
    /// repeated.
    ///
    /// # Errors
    /// While the disk still fails. Call it again.
    pub fn reopen(&mut self, first_unknown: u64, keys: &[KeyHash]) -> Result<(), StoreError> {
        self.close();
        let database = guarded(|| {
            file::write_again(&self.path)?;
            let database = database(&self.path)?;
            // a full disk can be read, and perhaps not written
            if tables::last(&database)? >= Some(first_unknown) || tables::has_one_of(&database, keys)? {
                commit(&database, |transaction| change::remove_from(transaction, first_unknown, keys))?;
            }
            Ok(database)
        })?;
        self.database = Some(database);
        Ok(())
    }

    /// Checks that the file system has room for so many bytes of rows, and after that for what becomes of messages: a
    /// transaction writes copies of pages, and the file has blocks only where something was written.
    ///
    /// # Errors
    /// If it has not.
    pub fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let (left, all) = file::space(&self.path)?;
        if left >= RESERVE.min(all / 8) + 2 * bytes {
            return Ok(());
        }
        Err(StoreError::Full(format!(
            "the file system has {left} bytes, and some are kept for what becomes of messages"
        )))
    }

    /// Whether it takes and gives something. It is closed after each error.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.database.is_some()
    }

    /// A message, queued or settled, if there is one.
    ///
    /// # Errors
    /// If it cannot be read; [`Self::reopen`] is needed then.
    pub fn get(&mut self, sequence: u64) -> Result<Option<Stored>, StoreError> {
        guarded(|| tables::get(self.opened()?, sequence)).map_err(|fault| self.fail(fault))
    }

    /// Queued messages from this sequence on, in their order, until there are `count`, or their rows have `bytes`: at
    /// least one.
    ///
    /// # Errors
    /// If they cannot be read; [`Self::reopen`] is needed then.
    pub fn queued_from(&mut self, sequence: u64, count: usize, bytes: usize) -> Result<Vec<(u64, Stored)>, StoreError> {
        guarded(|| tables::queued_from(self.opened()?, sequence, count, bytes)).map_err(|fault| self.fail(fault))
    }

    fn opened(&self) -> Result<&Database, Fault> {
        self.database.as_ref().ok_or_else(|| Fault::Failing("it failed before".to_owned()))
    }

    fn fail(&mut self, fault: Fault) -> StoreError {
        self.close();
        fault.into()
    }

    /// Writes what the next process would have to find out otherwise. That may fail: then it does find it out.
    fn close(&mut self) {
        let database = self.database.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// A panic is a fault: redb may panic over a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))?
}

fn commit(database: &Database, change: impl FnOnce(&redb::WriteTransaction) -> Result<(), Fault>) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    change(&transaction)?;
    Ok(transaction.commit()?)
}

/// Makes a new database in an empty file.
fn make(file: File) -> Result<(), Fault> {
    let backend = FileBackend::new(file)?;
    let database = Database::builder().create_with_backend(backend)?;
    // the keys that std gives to hash maps are random
    let number = RandomState::new().hash_one(0) >> 32;
    tables::make(&database, u32::try_from(number).unwrap_or_default())?;
    Ok(database.close()?)
}

/// Opens a database, and verifies all of it. Without that, redb may panic over a damaged one.
fn database(path: &Path) -> Result<Database, Fault> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    #[cfg(test)]
    return Ok(builder.create_with_backend(tests::backend(path)?)?);
    #[cfg(not(test))]
    Ok(builder.open(path)?)
}
