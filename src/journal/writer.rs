//! The thread that writes.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::entry::{Entry, Own};
use super::queue::{QUEUE, Taken};
use super::sink::Sink;

/// How long writing may fail before messages are lost that the broker does not deliver again, and before the failure is
/// a record afterwards.
const NOTICEABLE: Duration = Duration::from_secs(1);
/// The pause before the second attempt to write. It doubles before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Short enough for a last record to be tried while the process ends.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Writes one record after another, as long as the process lives.
pub fn run(sink: Sink) -> ! {
    Writer { sink, failing: None }.run()
}

struct Writer {
    sink: Sink,
    /// Since when nothing can be written, and why.
    failing: Option<(Instant, io::Error)>,
}

impl Writer {
    fn run(&mut self) -> ! {
        let mut bytes = Vec::new();
        loop {
            let taken = QUEUE.next();
            let Some(entry) = &taken.entry else {
                QUEUE.finish(taken);
                continue;
            };
            bytes.clear();
            self.sink.form(entry, taken.time, &mut bytes);
            self.write(taken, &bytes);
            // a rare long record must not keep its memory for ever
            bytes.shrink_to(64 * 1024);
        }
    }

    /// Writes a record, however many attempts it takes. If that takes too long and the broker does not deliver the
    /// message again, it is lost.
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

    /// After a record is written: tells if that took long.
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
            // standard error also blocks when a user stops the terminal, who needs no record of that
            (None, _) => None,
        };
        if let Some(words) = told {
            QUEUE.push_own(Entry::Own(Own::warning(words)), None);
        }
    }
}
