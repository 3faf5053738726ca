//! Records for people and for journald: whoever has something to say leaves it in a queue and waits for nobody, and one
//! thread writes.

mod entry;
mod line;
mod native;
mod queue;

use std::io;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use log::kv::{self, Key, VisitSource};
use log::{Log, Metadata, Record};

use self::entry::{Entry, Own, REQUEST_ID};
use self::line::Style;
use self::native::Journald;
use self::queue::{Queue, Taken};
use crate::config;
use crate::message::{Priority, Received};
use crate::metrics;
use crate::printable::one_line;
use crate::request_id::RequestId;
use crate::standard::Stream;
use crate::thread::{Watch, panic_words};

pub use self::queue::{Done, Full, MAX_BYTES, MAX_MESSAGES};

/// The name of the thread that writes.
pub const THREAD: &str = "journal";

/// What is to be written.
static QUEUE: Queue = Queue::new();

/// How long nothing may be taken before that is a record, when something is taken again, and before messages are lost
/// that nobody would deliver again.
const NOTICEABLE: Duration = Duration::from_secs(1);
/// Before the second try to write, and doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Short enough for a last record to be tried while the process ends.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What is wrong with a standard error that cannot be told from a closed one.
const CLOSED: &str = "it is closed, or a /dev/null that is open for reading too";

/// Makes this the place where records go: our own by the `log` crate from a level on, panics, and received messages.
/// They go to journald with fields if standard error is connected to it, and else as lines to standard error.
///
/// # Errors
/// If the system has no thread or no socket to give.
pub fn start(settings: &config::Log, watch: &Watch) -> io::Result<()> {
    let sink = if native::is_stderr_journald() {
        Sink::Journald(Journald::open()?)
    } else {
        let style = Style::of(settings);
        Sink::Lines { style, is_closed: Stream::Error.may_have_been_closed(), is_torn: false }
    };
    let mut writer = Writer { sink, failing: None };
    watch.spawn(THREAD, move || writer.run())?;
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(settings.level);
        std::panic::set_hook(Box::new(record_panic));
    }
    Ok(())
}

/// Records a message from the broker. `done` is called when it is written, by the thread that writes, in the order in
/// which messages came, or when it is given up and counted. Never waits.
///
/// # Errors
/// If the queue is full, or nothing can be written and the broker does not deliver the message again: then nothing is
/// recorded, and the caller says what becomes of it.
pub fn received(message: Arc<Received>, priority: Priority, done: Option<Done>) -> Result<(), Full> {
    QUEUE.push_received(message, priority, done)
}

/// Has `done` called when everything that was recorded before is written.
///
/// # Errors
/// As [`received`].
pub fn after_all(done: Done) -> Result<(), Full> {
    QUEUE.push_mark(done)
}

/// A received message is lost: it is counted, and said in time.
pub fn dropped() {
    metrics::journal_dropped();
    QUEUE.count_dropped();
}

/// Whether every message is written whose `done` is to be called.
#[must_use]
pub fn is_settled() -> bool {
    QUEUE.is_settled()
}

/// Why nothing can be written at present, if that is so.
#[must_use]
pub fn fault() -> Option<String> {
    QUEUE.fault()
}

/// Waits until everything is written, or the deadline has come. Returns whether it is.
pub fn flush(deadline: Instant) -> bool {
    QUEUE.flush(deadline)
}

/// Says something without [`start`], in a line of this form.
pub fn say_alone(words: &str, priority: Priority, settings: &config::Log) {
    if native::is_stderr_journald() {
        return say_to_unit(words, priority);
    }
    let mut line = Vec::new();
    Style::of(settings).write(&Entry::LastWords(words.to_owned()), SystemTime::now(), &mut line);
    // where that cannot be written, the exit status says enough
    let _ = Stream::Error.write(&line);
}

/// Of a datagram whose sender has ended journald cannot tell the unit any more; that of standard error it knows.
fn say_to_unit(words: &str, priority: Priority) {
    // sd-daemon(3) has the form
    let _ = Stream::Error.write(format!("<{priority}>{}\n", one_line(words)).as_bytes());
}

/// Says the one line that tells why the process ends, after all that was said before.
pub fn last_words(words: &str, deadline: Instant) {
    if !native::is_stderr_journald() {
        QUEUE.push_last(Entry::LastWords(words.to_owned()));
        QUEUE.flush(deadline);
        return;
    }
    QUEUE.end();
    QUEUE.flush(deadline);
    say_to_unit(words, Priority::ERROR);
}

/// Where records are written.
enum Sink {
    /// Datagrams with fields.
    Journald(Journald),
    /// One line each on standard error.
    Lines {
        style: Style,
        is_closed: bool,
        /// The last line was not written to its end.
        is_torn: bool,
    },
}

impl Sink {
    fn name(&self) -> &'static str {
        match self {
            Self::Journald(_) => "journald",
            Self::Lines { .. } => "standard error",
        }
    }

    /// The record as it is written here.
    fn form(&self, entry: &Entry, time: SystemTime, bytes: &mut Vec<u8>) {
        match self {
            // it has its own time
            Self::Journald(_) => entry.encode(bytes),
            Self::Lines { style, .. } => style.write(entry, time, bytes),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Journald(journald) => journald.write(bytes),
            Self::Lines { is_closed: true, .. } => Err(io::Error::other(CLOSED)),
            Self::Lines { is_torn, .. } => {
                // what is left of a line that met a full disk stands for itself
                if *is_torn {
                    Stream::Error.write(b"\n").map_err(|unwritten| unwritten.error)?;
                    *is_torn = false;
                }
                // one write, so that nobody's line gets into the middle
                Stream::Error.write(bytes).map_err(|unwritten| {
                    *is_torn = unwritten.written > 0;
                    unwritten.error
                })
            }
        }
    }
}

/// The thread that writes.
struct Writer {
    sink: Sink,
    /// Since when nothing can be written, and why.
    failing: Option<(Instant, io::Error)>,
}

impl Writer {
    /// Writes one record after another, as long as the process lives.
    fn run(&mut self) -> ! {
        let mut bytes = Vec::new();
        loop {
            let taken = QUEUE.next();
            bytes.clear();
            if let Entry::Mark = taken.entry {
                QUEUE.finish(taken);
                continue;
            }
            self.sink.form(&taken.entry, taken.time, &mut bytes);
            self.write(taken, &bytes);
            // a rare long one does not hold its memory for ever
            bytes.shrink_to(64 * 1024);
        }
    }

    /// Writes a record, as soon as it can be written; it is lost where that takes too long, and nobody owes it to us.
    fn write(&mut self, mut taken: Taken, bytes: &[u8]) {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.sink.write(bytes) {
            let since = self.failing.take().map_or(start, |(since, _)| since);
            let why = format!("{} takes nothing: {error}", self.sink.name());
            self.failing = Some((since, error));
            if since.elapsed() >= NOTICEABLE {
                let Some(kept) = QUEUE.block(taken, &why) else { return };
                taken = kept;
            }
            sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        self.tell_interruption(start);
        QUEUE.finish(taken);
    }

    /// Something was written, and it may have taken long.
    fn tell_interruption(&mut self, start: Instant) {
        let name = self.sink.name();
        let told = match (self.failing.take(), &self.sink) {
            (Some((since, error)), _) => {
                QUEUE.unblock();
                (since.elapsed() >= NOTICEABLE)
                    .then(|| format!("{name} took nothing for {} s: {error}", since.elapsed().as_secs()))
            }
            (None, Sink::Journald(_)) if start.elapsed() >= NOTICEABLE => {
                Some(format!("{name} took nothing for {} s", start.elapsed().as_secs()))
            }
            // whoever stops a terminal knows of it
            (None, _) => None,
        };
        if let Some(words) = told {
            QUEUE.push_own(Entry::Own(Own::warning(words)));
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
            fields.0.extend(RequestId::current().map(|id| (REQUEST_ID.to_owned(), id.to_string())));
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
