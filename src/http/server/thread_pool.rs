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

/// As many threads as there are jobs, up to a bound.
#[derive(Clone)]
pub struct ThreadPool(Arc<Shared>);

struct Shared {
    name: &'static str,
    watch: Watch,
    max_threads: usize,
    /// Jobs that may wait for one of them.
    max_waiting: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// As long as there are fewer threads than there may be, each of them has one that is about to take it.
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl ThreadPool {
    /// `name` is the threads'.
    pub fn new(name: &'static str, watch: Watch, max_threads: usize, max_waiting: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { name, watch, max_threads, max_waiting, state, changed }))
    }

    /// How many threads there may be.
    pub fn max_threads(&self) -> usize {
        self.0.max_threads
    }

    /// Has a job done by a thread of its own, or by the next that is free if there are as many as there may be; it is
    /// given back if too many wait for that.
    pub fn run(&self, job: Job) -> Option<Job> {
        let mut state = self.0.lock();
        if state.idle <= state.queue.len() {
            if state.threads < self.0.max_threads && self.start().is_ok() {
                state.threads += 1;
            } else if state.threads == 0 || state.queue.len() >= state.idle + self.0.max_waiting {
                return Some(job);
            }
        }
        state.queue.push_back(job);
        self.0.changed.notify_one();
        None
    }

    /// The same for a job with something that is given back if it is not done.
    pub fn run_with<T: Send + 'static>(&self, what: T, job: impl FnOnce(T) + Send + 'static) -> Option<T> {
        let shared = Arc::new(Mutex::new(Some(what)));
        let taken = shared.clone();
        let take = |shared: &Mutex<Option<T>>| shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = self.run(Box::new(move || {
            if let Some(what) = take(&taken) {
                job(what);
            }
        }));
        refused.and_then(|_| take(&shared))
    }

    fn start(&self) -> io::Result<()> {
        let pool = self.clone();
        self.0.watch.spawn_passing(self.0.name, move || {
            pool.work();
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
