//! How long the machine itself stalled, as shared machines do, which no test should count as a delay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the clock is checked.
const TICK: Duration = Duration::from_millis(5);

pub struct Stalls {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Stalls {
    /// Starts to measure.
    pub fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !is_done.load(Ordering::SeqCst) {
                let start = Instant::now();
                thread::park_timeout(TICK);
                longest = longest.max(start.elapsed().saturating_sub(TICK));
            }
            longest
        });
        Self { done, thread }
    }

    /// The longest time for which a thread with nothing to wait for did not run.
    pub fn longest(self) -> Duration {
        self.done.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}
