//! Named threads. Their end, by return or by panic, is an event that main waits for.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Instant;

/// More than there can be threads, so that no thread has to wait when it ends.
const CAPACITY: usize = 1024;

/// What main waits for.
#[derive(Debug)]
pub enum Event {
    /// SIGTERM or SIGINT.
    StopRequested,
    /// Only a new process helps; what is under way is completed first.
    RestartRequested(String),
    /// A thread has ended.
    Ended(End),
}

/// How a thread ended.
#[derive(Debug)]
pub struct End {
    /// The thread's name.
    pub thread: String,
    /// How its work ended.
    pub result: Returned,
}

/// How the work of a thread ended: an error says why, unless it returned in good order.
pub type Returned = Result<(), String>;

/// Starts threads and reports their ends.
#[derive(Debug, Clone)]
pub struct Watch(SyncSender<Event>);

/// The receiving end of all [`Watch`]es.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

/// A watch over threads, and the events that it reports.
#[must_use]
pub fn watch() -> (Watch, Events) {
    let (sender, receiver) = sync_channel(CAPACITY);
    (Watch(sender), Events(receiver))
}

impl Watch {
    /// Starts a thread; `name` is at most 15 bytes long, which is what Linux shows.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn(&self, name: &str, body: impl FnOnce() -> Returned + Send + 'static) -> io::Result<()> {
        self.spawn_reporting(name, body, |_| true)
    }

    /// Starts a thread of which only a panic is reported, for those that come and go.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn_passing(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let body = move || {
            body();
            Ok(())
        };
        self.spawn_reporting(name, body, Result::is_err)
    }

    fn spawn_reporting(
        &self,
        name: &str,
        body: impl FnOnce() -> Returned + Send + 'static,
        is_reported: fn(&Returned) -> bool,
    ) -> io::Result<()> {
        let (events, thread) = (self.0.clone(), name.to_owned());
        let reporting = move || {
            let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err("it panicked".to_owned()));
            if is_reported(&result) {
                // there is no receiver any more when the process ends
                drop(events.send(Event::Ended(End { thread, result })));
            }
        };
        let spawned = Builder::new().name(name.to_owned()).spawn(reporting);
        spawned.map(drop).map_err(|error| io::Error::new(error.kind(), format!("no thread {name}: {error}")))
    }

    /// Asks main to stop and to fail, so that systemd starts the daemon again.
    pub fn request_restart(&self, why: String) {
        drop(self.0.try_send(Event::RestartRequested(why)));
    }

    /// Asks main to stop. Never waits: if the queue is full, main has been asked already.
    pub fn request_stop(&self) {
        drop(self.0.try_send(Event::StopRequested));
    }
}

impl Events {
    /// Waits for the next event; the end of all watches counts as a request to stop.
    #[must_use]
    pub fn next(&self) -> Event {
        self.0.recv().unwrap_or(Event::StopRequested)
    }

    /// Waits until `count` threads whose name starts with `prefix` have ended, or until the deadline.
    /// Returns how many have not. Further requests to stop are ignored.
    #[must_use]
    pub fn await_ends(&self, prefix: &str, count: usize, deadline: Instant) -> usize {
        let mut missing = count;
        while missing > 0 {
            match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(end)) => {
                    if let Err(why) = &end.result {
                        log::warn!("thread {} ended while stopping: {why}", end.thread);
                    }
                    missing -= usize::from(end.thread.starts_with(prefix));
                }
                Ok(Event::StopRequested | Event::RestartRequested(_)) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        missing
    }
}

/// The text of a panic.
pub(crate) fn panic_words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn the_end_of_a_thread_is_an_event_with_its_name_and_cause() {
        let (watch, events) = watch();
        watch.spawn("fails", || Err("no more".to_owned())).unwrap();
        match events.next() {
            Event::Ended(End { thread, result }) => {
                assert_eq!((thread.as_str(), result), ("fails", Err("no more".to_owned())));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }

    #[test]
    fn a_panic_is_an_end() {
        let (watch, events) = watch();
        watch.spawn("panics", || panic!("at {}", 7)).unwrap();
        match events.next() {
            Event::Ended(end) => assert_eq!(end.result, Err("it panicked".to_owned())),
            other => panic!("unexpected: {other:?}"),
        }
    }

    #[test]
    fn ends_are_awaited_by_prefix_up_to_a_deadline() {
        let (watch, events) = watch();
        for name in ["http-1", "mqtt", "http-2"] {
            watch.spawn(name, || Ok(())).unwrap();
        }
        watch.request_stop();
        assert_eq!(events.await_ends("http-", 2, soon()), 0);
        assert_eq!(events.await_ends("http-", 1, Instant::now()), 1);
    }
}
