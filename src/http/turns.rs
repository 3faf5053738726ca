//! One request of a connection at a time: what is pipelined behind it is parked until it is answered.
//!
//! The library writes the answers of a connection in the order of its requests, and makes whoever answers too early
//! wait. The broker may answer in any order, so that two requests of one connection must not be with it together.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tiny_http::{Request, Server};

use super::reply::Reply;

/// Whose turn it is, on all connections.
pub struct Turns {
    server: Arc<Server>,
    /// Held from the library's queue to our own books: two requests of one connection must not overtake each other.
    receiving: Mutex<()>,
    state: Mutex<State>,
    /// Notified when no request is unanswered any more.
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// The followers of each request that is not yet answered, by the client's address.
    parked: HashMap<SocketAddr, VecDeque<Request>>,
    /// Followers whose turn has come.
    ready: VecDeque<Request>,
}

/// A request whose turn it is. However it ends, its followers' turn comes.
pub struct Exchange {
    request: Option<Request>,
    client: Option<SocketAddr>,
    turns: Arc<Turns>,
}

impl Turns {
    pub fn new(server: Arc<Server>) -> Arc<Self> {
        Arc::new(Self { server, receiving: Mutex::default(), state: Mutex::default(), idle: Condvar::new() })
    }

    /// Waits for the next request whose turn it is. `None` says to ask again.
    ///
    /// # Errors
    /// The library's: it cannot accept, or its `unblock` was called while nothing was ready.
    pub fn next(self: &Arc<Self>) -> io::Result<Option<Exchange>> {
        let _receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exchange) = self.ready() {
            return Ok(Some(exchange));
        }
        match self.server.recv() {
            Ok(request) => Ok(self.arrive(request)),
            // the end of accepting is told once, and must not get lost
            Err(error) if error.raw_os_error().is_some() => Err(error),
            Err(error) => self.ready().map_or(Err(error), |exchange| Ok(Some(exchange))),
        }
    }

    /// Waits until every request that came is answered, or the deadline has come.
    pub fn await_idle(&self, deadline: Instant) {
        let mut state = self.lock();
        while !state.parked.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A request that just came: it is parked if another of its connection is not yet answered.
    fn arrive(self: &Arc<Self>, request: Request) -> Option<Exchange> {
        let client = request.remote_addr().copied();
        if let Some(client) = client {
            let mut state = self.lock();
            if let Some(followers) = state.parked.get_mut(&client) {
                followers.push_back(request);
                return None;
            }
            state.parked.insert(client, VecDeque::new());
        }
        Some(Exchange { request: Some(request), client, turns: self.clone() })
    }

    /// A follower whose turn has come.
    fn ready(self: &Arc<Self>) -> Option<Exchange> {
        let request = self.lock().ready.pop_front()?;
        let client = request.remote_addr().copied();
        Some(Exchange { request: Some(request), client, turns: self.clone() })
    }

    /// The next follower's turn, if there is one.
    fn pass_on(&self, client: SocketAddr) {
        let mut state = self.lock();
        match state.parked.get_mut(&client).and_then(VecDeque::pop_front) {
            None => {
                state.parked.remove(&client);
                if state.parked.is_empty() {
                    self.idle.notify_all();
                }
            }
            Some(follower) => {
                state.ready.push_back(follower);
                drop(state);
                // a worker that waits for requests of the server looks here too
                self.server.unblock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The request; `None` only after its answer.
    pub fn request(&mut self) -> Option<&mut Request> {
        self.request.as_mut()
    }

    /// Writes the answer.
    pub fn answer(mut self, reply: Reply) {
        let Some(request) = self.request.take() else { return };
        // a client that went away has no use for its answer
        if let Err(error) = request.respond(reply.into_response()) {
            log::debug!("an answer could not be written: {error}");
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // a request without an answer, after a panic, is answered with 500 by the library
        drop(self.request.take());
        if let Some(client) = self.client {
            self.turns.pass_on(client);
        }
    }
}
