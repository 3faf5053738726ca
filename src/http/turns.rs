//! One request of a connection at a time: what is pipelined behind it is parked until it is answered.
//!
//! The library writes the answers of a connection in the order of its requests, and makes whoever answers too early
//! wait. The broker may answer in any order, so that two requests of one connection must not be with it together.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tiny_http::{Request, Server};

use super::reply::Reply;

/// Whose turn it is, on all connections.
pub struct Turns {
    server: Arc<Server>,
    state: Mutex<State>,
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
        Arc::new(Self { server, state: Mutex::default() })
    }

    /// A request that just came: it is parked if another of its connection is not yet answered.
    pub fn arrive(self: &Arc<Self>, request: Request) -> Option<Exchange> {
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
    pub fn ready(self: &Arc<Self>) -> Option<Exchange> {
        let request = self.lock().ready.pop_front()?;
        let client = request.remote_addr().copied();
        Some(Exchange { request: Some(request), client, turns: self.clone() })
    }

    /// The next follower's turn, if there is one.
    fn pass_on(&self, client: SocketAddr) {
        let mut state = self.lock();
        match state.parked.get_mut(&client).and_then(VecDeque::pop_front) {
            None => drop(state.parked.remove(&client)),
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
