//! Records for people and for journald: whoever has something to say leaves it in a queue and waits for nobody, and one
//! thread writes.

mod entry;
mod native;
mod queue;

use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::kv::{self, Key, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use self::entry::{Entry, Own};
use self::native::Journald;
use self::queue::Queue;
use crate::message::{Priority, Received};
use crate::metrics;
use crate::thread::{Watch, panic_words};

pub use self::queue::{Done, Full, MAX_MESSAGES};

/// The name of the thread that writes.
pub const THREAD: &str = "journal";

/// What is to be written.
static QUEUE: Queue = Queue::new();

/// How long journald may take nothing before that is a record, when it takes something again.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// Makes this the place where records go: our own by the `log` crate from this level on, panics, and received messages.
/// They go to journald with fields if standard error is connected to it, and else as lines to standard error.
///
/// # Errors
/// If the system has no thread or no socket to give.
pub fn start(level: LevelFilter, watch: &Watch) -> io::Result<()> {
    let mut sink = if native::is_stderr_journald() { Sink::Journald(Journald::open()?) } else { Sink::Lines };
    watch.spawn(THREAD, move || {
        sink.run();
        Ok(())
    })?;
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(level);
        std::panic::set_hook(Box::new(record_panic));
    }
    Ok(())
}

/// Records a message from the broker. `done` is called when it is written, by the thread that writes, in the order in
/// which messages came. Never waits.
///
/// # Errors
/// If the queue is full: then nothing is recorded, and the caller says what becomes of the message.
pub fn received(message: Arc<Received>, priority: Priority, done: Option<Done>) -> Result<(), Full> {
    QUEUE.push_received(message, priority, done)
}

/// Has `done` called when everything that was recorded before is written.
///
/// # Errors
/// If the queue is full.
pub fn after_all(done: Done) -> Result<(), Full> {
    QUEUE.push_mark(done)
}

/// A received message is lost, for want of room: it is counted, and said in time.
pub fn dropped() {
    metrics::journal_dropped();
    QUEUE.count_dropped();
}

/// Whether every message is written whose `done` is to be called.
#[must_use]
pub fn is_settled() -> bool {
    QUEUE.is_settled()
}

/// Waits until everything is written, or the deadline has come. Returns whether it is.
pub fn flush(deadline: Instant) -> bool {
    QUEUE.flush(deadline)
}

/// Says the one line that tells why the process ends, after all that was said before.
pub fn last_words(words: &str, deadline: Instant) {
    QUEUE.push_last(Entry::LastWords(words.to_owned()));
    QUEUE.flush(deadline);
}

/// Where records are written.
enum Sink {
    /// Datagrams with fields.
    Journald(Journald),
    /// One line each on standard error.
    Lines,
}

impl Sink {
    /// Writes one record after another, as long as the process lives.
    fn run(&mut self) {
        let mut bytes = Vec::new();
        loop {
            let taken = QUEUE.next();
            bytes.clear();
            if let Entry::Mark = taken.entry {
                QUEUE.finish(taken);
                continue;
            }
            match self {
                Self::Journald(journald) => {
                    taken.entry.encode(&mut bytes);
                    let start = Instant::now();
                    let written = journald.write(&bytes);
                    if start.elapsed() >= NOTICEABLE {
                        let seconds = start.elapsed().as_secs();
                        QUEUE.push_own(Entry::Own(Own::warning(format!("journald took nothing for {seconds} s"))));
                    }
                    if let Err(error) = written {
                        metrics::journal_dropped();
                        QUEUE.push_own(Entry::Own(Own::warning(format!("journald does not take a record: {error}"))));
                    }
                }
                Self::Lines => {
                    taken.entry.write_line(&mut bytes);
                    // one write, so that nobody's line gets into the middle; there is no one left to tell that nobody
                    // reads us
                    drop(io::stderr().write_all(&bytes));
                }
            }
            // a rare long one does not hold its memory for ever
            bytes.shrink_to(64 * 1024);
            QUEUE.finish(taken);
        }
    }
}

struct Journal;

impl Log for Journal {
    /// Our own records only: what the libraries know, they also return as errors, and those we tell of ourselves.
    fn enabled(&self, metadata: &Metadata) -> bool {
        let target = metadata.target();
        target.starts_with("mqtt_bridge") || target.starts_with("quickstart")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let mut fields = Fields(Vec::new());
            // visiting into a list cannot fail
            let _ = record.key_values().visit(&mut fields);
            let own = Own { level: record.level(), message: record.args().to_string(), fields: fields.0 };
            QUEUE.push_own(Entry::Own(own));
        }
    }

    fn flush(&self) {}
}

/// The fields of one of our own records, such as `CLIENT_ID`.
struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = value.to_string();
        // nothing to tell
        if !value.is_empty() {
            self.0.push((key.as_str().to_owned(), value));
        }
        Ok(())
    }
}

/// A panic in one line instead of the default's several, which would be as many records.
fn record_panic(panic: &PanicHookInfo) {
    let thread = std::thread::current();
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let words = panic_words(panic.payload());
    match thread.name() {
        Some(name) => log::error!("thread {name} panicked at {place}: {words}"),
        // the HTTP library's, where a client that resets its connection is enough; who guards it tells what matters
        None => log::debug!("a thread of a library panicked at {place}: {words}"),
    }
}
