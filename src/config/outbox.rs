//! `[outbox]`: where messages are kept until the broker has them, and how many.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::fault::Fault;
use super::kind::{FilePath, InBytes, Seconds, Whole, whole_number};
use super::source::Source;

/// The longest time for which a message or its outcome is kept, in seconds: 30 days.
pub const LONGEST: u64 = 30 * 86_400;
const MIB: u64 = 1024 * 1024;

table! {
    /// The keys of `[outbox]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct OutboxTable from OutboxKeys {
        /// The file.
        path: Option<FilePath> = None,
        /// Messages that are queued.
        max_messages: Whole<usize, 1, 1_000_000> = 100_000,
        /// Bytes of the messages that are queued.
        max_bytes: InBytes<StoredBytes> = 256 * MIB,
        /// The longest `ttl` of a message.
        max_ttl: Seconds<1000, LONGEST> = Duration::from_secs(86_400),
        /// How long an outcome can be asked for.
        keep: Seconds<1000, LONGEST> = Duration::from_secs(86_400),
    }
}

kinds! {
    /// A file of 64 GiB is far beyond what a bridge sends in its longest `ttl`.
    struct StoredBytes -> u64 = |value| whole_number(value, MIB..=64 * 1024 * MIB);
}

/// Where messages are kept until the broker has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// The file; `None` if there is no outbox.
    pub path: Option<PathBuf>,
    /// Messages that may be queued at a time, 1 to 1,000,000.
    pub max_messages: usize,
    /// Bytes that the queued messages may have, 1 MiB to 64 GiB.
    pub max_bytes: u64,
    /// The longest time that a message may wait, 1 s to 30 days.
    pub max_ttl: Duration,
    /// How long the outcome of a message can be asked for, 1 s to 30 days.
    pub keep: Duration,
}

impl OutboxKeys {
    pub fn read(&self, source: &Source, environment: &Environment) -> Result<Outbox, Fault> {
        let table = self.read_each()?;
        Ok(Outbox {
            path: table.path.map(|path| located(&path, source, environment)),
            max_messages: table.max_messages,
            max_bytes: table.max_bytes,
            max_ttl: table.max_ttl,
            keep: table.keep,
        })
    }
}

/// The service can write nowhere but to its state folder, so that a relative path starts there; without a service it
/// starts, as every other one, from the folder of the configuration file.
fn located(path: &str, source: &Source, environment: &Environment) -> PathBuf {
    match environment.state_folder() {
        Some(folder) => folder.join(path),
        None => source.beside(path),
    }
}
