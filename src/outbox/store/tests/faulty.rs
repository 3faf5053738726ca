//! A file that fails when a test says so.

use std::cell::Cell;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    Sync,
}

thread_local! {
    static FAULT: Cell<Option<(Operation, i32)>> = const { Cell::new(None) };
}

/// From now on this fails, with this error, in this thread.
pub fn fail(operation: Operation, error: i32) {
    FAULT.set(Some((operation, error)));
}

/// From now on nothing fails.
pub fn mend() {
    FAULT.set(None);
}

fn outcome(operation: Operation) -> io::Result<()> {
    match FAULT.get() {
        Some((failing, error)) if failing == operation => Err(io::Error::from_raw_os_error(error)),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct Faulty(FileBackend);

pub fn backend(path: &Path) -> io::Result<impl StorageBackend> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    FileBackend::new(file).map(Faulty).map_err(io::Error::other)
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        outcome(Operation::Sync)?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        outcome(Operation::Write)?;
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
