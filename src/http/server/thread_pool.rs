//! Threads that come and go, for what may have to wait for a client: reading a body, writing a long reply.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::thread::Watch;

/// How long a thread waits for its next job before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// As many threads as there are jobs, up to a bound.
#[derive(Clone)]
pub struct ThreadPool(Arc<Shared>);

struct Shared {
    name: &'static str,
    watch: Watch,
    max_threads: usize,
    /// The most jobs that may wait for a thread.
    max_waiting: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// While there are fewer threads than `max_threads`, each job has a thread that is about to take it.
    queue: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    idle: usize,
}

impl ThreadPool {
    /// `name` is the name of each thread.
    pub fn new(name: &'static str, watch: Watch, max_threads: usize, max_waiting: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { name, watch, max_threads, max_waiting, state, changed }))
    }

    pub fn max_threads(&self) -> usize {
        self.0.max_threads
    }

    /// Runs a job in a thread of its own, or in the next free one if there are `max_threads`. Returns the job's
    /// argument if too many jobs wait already.
    pub fn run<T: Send + 'static>(&self, argument: T, job: impl FnOnce(T) + Send + 'static) -> Option<T> {
        let mut state = self.lock();
        if state.idle <= state.queue.len() {
            let pool = self.clone();
            let start = || self.0.watch.spawn_passing(self.0.name, move || pool.work());
            if state.threads < self.0.max_threads && start().is_ok() {
                state.threads += 1;
            } else if state.threads == 0 || state.queue.len() >= state.idle + self.0.max_waiting {
                return Some(argument);
            }
        }
        state.queue.push_back(Box::new(move || job(argument)));
        self.0.changed.notify_one();
        None
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
