//! Our own records: by the `log` crate, and by the panic hook.

use std::panic::PanicHookInfo;

use log::kv::{self, Key, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use super::entry::{Entry, Own, REQUEST_ID};
use super::queue::QUEUE;
use crate::request_id::RequestId;
use crate::thread::panic_words;

/// Sends the records of the `log` crate and of panics to the queue.
pub fn install(level: LevelFilter) {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
        std::panic::set_hook(Box::new(record_panic));
    }
}

struct Logger;

impl Log for Logger {
    /// Our own records only: what libraries record, they also return as errors, which we record.
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
            QUEUE.push_own(Entry::Own(own), None);
        }
    }

    fn flush(&self) {}
}

/// The fields of one of our own records, such as `CLIENT_ID`.
struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = value.to_string();
        if !value.is_empty() {
            self.0.push((key.as_str().to_owned(), value));
        }
        Ok(())
    }
}

/// Records a panic in one line; the lines of the default hook would be as many records.
fn record_panic(panic: &PanicHookInfo) {
    let thread = std::thread::current();
    let location = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let words = panic_words(panic.payload());
    match thread.name() {
        Some(name) => log::error!("thread {name} panicked at {location}: {words}"),
        // threads without a name are those of the HTTP server, which panic when a client resets its connection; what
        // matters of that is recorded where its results are read
        None => log::debug!("a thread of a library panicked at {location}: {words}"),
    }
}
