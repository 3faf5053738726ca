//! Records for people and for journald. Callers put a record into a queue and never wait; one thread writes.

mod entry;
mod line;
mod logger;
mod native;
mod queue;
mod sink;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use self::entry::{Entry, Own};
use self::queue::QUEUE;
pub use self::queue::{Done, Full, MAX_BYTES, MAX_MESSAGES};
use self::sink::Sink;
use crate::config;
use crate::message::{Priority, Received};
use crate::printable::one_line;
use crate::standard::Stream;
use crate::thread::Watch;

/// The name of the thread that writes.
pub const THREAD: &str = "journal";

/// Sends records here: our own by the `log` crate from a level on, panics, and received messages.
/// They go to journald with fields if standard error is connected to it, and else as lines to standard error.
///
/// # Errors
/// If the system has no thread or no socket to give.
pub fn start(settings: &config::Log, watch: &Watch) -> io::Result<()> {
    let sink = Sink::open(settings)?;
    watch.spawn(THREAD, move || writer::run(sink))?;
    logger::install(settings.level);
    Ok(())
}

/// Records a message from the broker, unless it has no priority. The thread that writes calls `done`, in the order in
/// which messages came, when the message is written, or when it is lost and counted. Never waits.
///
/// # Errors
/// If the queue is full, or nothing can be written and the broker does not deliver the message again: then nothing is
/// recorded, and the caller decides about the message.
pub fn received(message: &Arc<Received>, priority: Option<Priority>, done: Option<Done>) -> Result<(), Full> {
    QUEUE.push_received(message, priority, done)
}

/// Records an error. The thread that writes calls `done` when it is written. Returns false if there is no room: then
/// `done` is never called.
#[must_use]
pub fn error(words: &str, fields: &[(&str, &str)], done: Done) -> bool {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let own = Own { level: log::Level::Error, message: words.to_owned(), fields };
    QUEUE.push_own(Entry::Own(own), Some(done))
}

/// Counts a received message that is lost. A record tells how many are.
pub fn dropped() {
    QUEUE.count_dropped();
}

/// Whether every message with a `done` is written or lost.
#[must_use]
pub fn is_settled() -> bool {
    QUEUE.is_settled()
}

/// Why nothing can be written at present, if so.
#[must_use]
pub fn fault() -> Option<String> {
    QUEUE.fault()
}

/// Waits until everything is written, or until the deadline. Returns whether everything is.
pub fn flush(deadline: Instant) -> bool {
    QUEUE.flush(deadline)
}

/// Writes a record at once, for a process that has not called [`start`].
pub fn say_alone(words: &str, priority: Priority, settings: &config::Log) {
    if native::is_stderr_journald() {
        return say_to_unit(words, priority);
    }
    let mut line = Vec::new();
    line::write(&Entry::LastWords(words.to_owned()), SystemTime::now(), settings, &mut line);
    // if that fails, the exit status says enough
    let _ = Stream::Error.write(&line);
}

/// Writes by way of standard error: when the sender of a datagram has ended, journald cannot tell its unit any more,
/// but it knows the unit of that stream.
fn say_to_unit(words: &str, priority: Priority) {
    // the form of sd-daemon(3)
    let _ = Stream::Error.write(format!("<{priority}>{}\n", one_line(words)).as_bytes());
}

/// Writes why the process ends, after everything that was recorded before.
pub fn last_words(words: &str, deadline: Instant) {
    let is_journald = native::is_stderr_journald();
    QUEUE.end((!is_journald).then(|| Entry::LastWords(words.to_owned())));
    QUEUE.flush(deadline);
    if is_journald {
        say_to_unit(words, Priority::ERROR);
    }
}
