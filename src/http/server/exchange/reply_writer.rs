//! The thread that writes answers which others must not write, so that nobody else waits for a slow client.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::http::reply::Reply;
use crate::http::server::exchange::Exchange;

/// The answers to be written. There are no more of them than connections: each has one request with us at a time.
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
    /// The thread waits for the next answer.
    is_idle: bool,
    closed: bool,
}

impl ReplyWriter {
    /// Has an answer written. Never waits.
    pub fn push(&self, exchange: Exchange, reply: Reply) {
        self.change(|state| state.queue.push_back((exchange, reply)));
    }

    /// Lets [`Self::run`] return when everything is written.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Writes one answer after another. For one thread only: `is_idle` speaks of no more.
    pub fn run(&self) {
        loop {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            while state.queue.is_empty() {
                if state.closed {
                    return;
                }
                state.is_idle = true;
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let answers = std::mem::take(&mut state.queue);
            drop(state);
            for (exchange, reply) in answers {
                exchange.answer(&reply);
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        // to notify is a system call even if nobody waits
        let is_awaited = std::mem::take(&mut state.is_idle);
        drop(state);
        if is_awaited {
            self.0.changed.notify_one();
        }
    }
}
