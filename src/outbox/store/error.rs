//! Why the file cannot be opened, or does not take or give what it should.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::printable::Printable;

/// The longest part of an error text that comes from below.
const MAX_TEXT: usize = 300;

/// Why a transaction or a read failed. Nothing of the transaction counts, once the file is opened again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// There is no room on the file system, or for this user.
    #[error("no space is left: {0}")]
    Full(String),
    /// The disk, or the file system, does not work.
    #[error("{0}")]
    Failing(String),
    /// The file has what cannot be read.
    #[error("the file is damaged: {0}")]
    Damaged(String),
}

/// Why the file cannot be used. The text is one line: it names the file, what is wrong, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("outbox {}: {fault}", path.display())]
pub struct OpenError {
    path: PathBuf,
    fault: Fault,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("another process uses it: each bridge needs an outbox of its own")]
    InUse,
    #[error(
        "it has {0}, which this version of the bridge cannot read: use the version that wrote it until the outbox is \
         empty, or move the file away to begin anew: the messages in it are lost then"
    )]
    Version(String),
    #[error("it is no outbox ({0}): set another `path` in the table [outbox], or move it away to begin anew")]
    Foreign(String),
    #[error(
        "the file is damaged ({0}): put a copy of it back, or move it away to begin anew: the messages in it are lost \
         then"
    )]
    Damaged(String),
    #[error("there is no folder for it: make the folder, or set another `path` in the table [outbox]")]
    NoFolder,
    #[error("{0}: the bridge must be able to write it and to make files in its folder")]
    Forbidden(String),
    #[error("no space is left: {0}")]
    Full(String),
    #[error("{0}")]
    Failing(String),
}

impl OpenError {
    pub(super) fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault }
    }

    /// Whether another attempt may succeed although nobody changes the configuration or the file.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self.fault, Fault::InUse | Fault::Full(_) | Fault::Failing(_))
    }
}

/// While the file is open, its state does not depend on the configuration any more.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(text) => Self::Full(text),
            Fault::Damaged(text) => Self::Damaged(text),
            Fault::Failing(text) => Self::Failing(text),
            other => Self::Failing(other.to_string()),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::Io(error) => error.into(),
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => Self::InUse,
            E::UpgradeRequired(version) => Self::Version(format!("version {version} of the format of redb")),
            // a version after the one that redb knows; pinned by a test
            E::Corrupted(text) if text.starts_with("Expected file format version") => {
                Self::Version(format!("another version of the format of redb ({})", line(&text)))
            }
            E::TableDoesNotExist(_) | E::TableTypeMismatch { .. } | E::TableIsMultimap(_) => {
                Self::Foreign(line(&error.to_string()))
            }
            E::PreviousIo | E::DatabaseClosed => Self::Failing("it failed before".to_owned()),
            E::Corrupted(text) => Self::Damaged(line(&text)),
            other => Self::Damaged(line(&other.to_string())),
        }
    }
}

macro_rules! from_each {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_each!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::DatabaseError);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let text = line(&error.to_string());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(text),
            // what redb says of a file that does not begin as its files do
            ErrorKind::InvalidData => Self::Foreign(text),
            ErrorKind::UnexpectedEof => Self::Damaged("it is too short".to_owned()),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Forbidden(text),
            _ => Self::Failing(text),
        }
    }
}

/// A panic below: redb checks less of what it reads than of what it is called with.
impl From<Box<dyn Any + Send>> for Fault {
    fn from(panic: Box<dyn Any + Send>) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref().copied()).unwrap_or("it panicked");
        Self::Damaged(line(text))
    }
}

/// One printable line.
fn line(text: &str) -> String {
    Printable::new(text, MAX_TEXT).to_string()
}
