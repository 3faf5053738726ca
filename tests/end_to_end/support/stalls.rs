//! How long the machine itself stood still, which shared ones do: that is nobody's wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it is looked at the clock.
const TICK: Duration = Duration::from_millis(5);

pub struct Stalls {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Stalls {
    /// Watches from now on.
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

    /// The longest time for which a thread that had nothing to wait for did not run.
    pub fn longest(self) -> Duration {
        self.done.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}
