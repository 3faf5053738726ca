//! Threads that come and go, for what may have to wait: a body that is still to come, and on a Unix socket an answer.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::thread::Watch;

/// How long a thread waits for its next job before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// What one of them does.
pub type Job = Box<dyn FnOnce() + Send>;

/// As many threads as there are jobs.
#[derive(Clone)]
pub struct Errands(Arc<Shared>);

struct Shared {
    name: &'static str,
    watch: Watch,
    max_threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Each of them has a thread that is about to take it.
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Errands {
    /// `name` is the threads'.
    pub fn new(name: &'static str, watch: Watch, max_threads: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { name, watch, max_threads, state, changed }))
    }

    /// Has a job done by a thread of its own; it is given back if there is none to be had.
    pub fn run(&self, job: Job) -> Option<Job> {
        let mut state = self.0.lock();
        if state.idle <= state.queue.len() {
            if state.threads >= self.0.max_threads || self.start().is_err() {
                return Some(job);
            }
            state.threads += 1;
        }
        state.queue.push_back(job);
        self.0.changed.notify_one();
        None
    }

    fn start(&self) -> io::Result<()> {
        let errands = self.clone();
        self.0.watch.spawn_passing(self.0.name, move || {
            errands.work();
            Ok(())
        })
    }

    fn work(&self) {
        loop {
            let mut state = self.0.lock();
            state.idle += 1;
            let (mut state, _) = self
                .0
                .changed
                .wait_timeout_while(state, IDLE, |state| state.queue.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            let Some(job) = state.queue.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            job();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
