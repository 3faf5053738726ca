//! The thread that writes replies instead of threads that must not wait for a slow client.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::http::reply::Reply;
use crate::http::server::exchange::Exchange;

/// A queue of replies. There are no more of them than connections, since each has one request that is being served.
#[derive(Clone, Default)]
pub struct ReplyWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Exchange, Reply)>,
    /// The thread waits for the next reply.
    is_idle: bool,
    closed: bool,
}

impl ReplyWriter {
    /// Queues a reply. Never waits.
    pub fn push(&self, exchange: Exchange, reply: Reply) {
        self.change(|state| state.queue.push_back((exchange, reply)));
    }

    /// Lets [`Self::run`] return when everything is written.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Writes one reply after another. To be called by one thread only, since `is_idle` stands for one.
    pub fn run(&self) {
        loop {
            let mut state = self.lock();
            while state.queue.is_empty() {
                if state.closed {
                    return;
                }
                state.is_idle = true;
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let replies = std::mem::take(&mut state.queue);
            drop(state);
            for (exchange, reply) in replies {
                exchange.send(&reply);
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        // notifying costs a system call even if the thread does not wait
        let is_awaited = std::mem::take(&mut state.is_idle);
        drop(state);
        if is_awaited {
            self.0.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
