//! Records for people: one line each on standard error, whatever they tell of.

use std::io::Write;
use std::panic::PanicHookInfo;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::printable::{Printable, one_line};
use crate::thread::panic_words;

/// How much of a received topic name or payload a record shows, in bytes.
const SHOWN: usize = 1024;

/// Makes this the place where records go: our own by the `log` crate, panics, and received messages.
pub fn start() {
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(LevelFilter::Info);
        std::panic::set_hook(Box::new(record_panic));
    }
}

/// Records a message from the broker.
pub fn received(topic: &[u8], payload: &[u8]) {
    let (topic, payload) = (Printable::new(topic, SHOWN), Printable::new(payload, SHOWN));
    write_line(&format!("Received message on topic: {topic} with payload: {payload}"));
}

struct Journal;

impl Log for Journal {
    /// Our own records only: what the libraries know, they also return as errors, and those we tell of ourselves.
    fn enabled(&self, metadata: &Metadata) -> bool {
        let target = metadata.target();
        target.starts_with("mqtt_bridge") || target.starts_with("quickstart")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            Level::Error => write_line(&format!("error: {}", record.args())),
            Level::Warn => write_line(&format!("warning: {}", record.args())),
            Level::Info | Level::Debug | Level::Trace => write_line(&record.args().to_string()),
        }
    }

    fn flush(&self) {}
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

/// One record, one line, one write: so that two threads never mix theirs.
fn write_line(text: &str) {
    // bytes from outside are escaped where they come in; this holds for what slips through
    let line = one_line(text) + "\n";
    // there is no one left to tell that nobody reads us
    drop(std::io::stderr().write_all(line.as_bytes()));
}
