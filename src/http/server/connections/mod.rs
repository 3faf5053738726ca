//! The connections of one listener: which request of each is served next, and when what it sends is due.
//!
//! tiny_http reads the next request of a connection while the one before is being served, writes the replies in the
//! order of the requests, and blocks the thread that writes one too early. The broker may answer in any order, so only
//! one request of a connection is served at a time.

mod abandoned;
mod attribution;
mod bodies;
mod closing;
mod connection;
mod line_ends;
mod lingering;
mod state;
mod stopping;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tiny_http::Request;

pub use self::connection::{Connection, ConnectionId, Cut, End, MAX_PIPELINED, ReadyRequest};
pub use self::state::State;

use self::bodies::MAX_RESERVED;
use self::connection::size;
use super::request::Head;
use super::request::framing::has_whole_body;
use super::sockets::Sockets;
use super::thread_pool::ThreadPool;
use crate::config::Http;
use crate::memory::Memory;

/// All connections of one listener.
pub struct Connections {
    pub sockets: Sockets,
    /// Threads for what may have to wait for a client: writing a long reply, dropping a request whose body is unread.
    pub writers: ThreadPool,
    /// From the first byte of a request to its last.
    request_timeout: Duration,
    /// The most bytes of memory reserved for bodies that are being read.
    max_reserved: usize,
    /// The memory that all requests share, those of other listeners too.
    pub memory: Memory,
    state: Mutex<State>,
    /// Notified of changes to the state if there are `waiters`.
    changed: Condvar,
    /// The server stops: each reply is the last on its connection.
    draining: AtomicBool,
}

impl Connections {
    pub fn new(sockets: Sockets, writers: ThreadPool, http: &Http, memory: Memory) -> Self {
        Self {
            sockets,
            writers,
            request_timeout: http.request_timeout,
            max_reserved: MAX_RESERVED.max(2 * http.max_body),
            memory,
            state: Mutex::default(),
            changed: Condvar::new(),
            draining: AtomicBool::new(false),
        }
    }

    /// Registers a request that just came. Returns it if it is to be served now; otherwise it is kept until then.
    pub fn register(&self, request: Request) -> Option<ReadyRequest> {
        let mut state = self.lock();
        state.unanswered += 1;
        let Some(address) = request.remote_addr().copied() else {
            return Some(ReadyRequest { request, connection: None });
        };
        let now = Instant::now();
        let scans = state.scans;
        let connection = state.table.entry(address).or_insert_with(|| Connection::new(address, now));
        if connection.is_gone() || connection.has_lost_address(scans) {
            *connection = Connection::new(address, now);
        }
        let id = connection.id;
        if connection.may_be_replaced() {
            let is_flooding = connection.is_flooding();
            let refused = if is_flooding { vec![request] } else { connection.keep_unattributed(request, now) };
            drop(state);
            if !is_flooding && !refused.is_empty() {
                self.close_flooding(id);
            }
            self.abandon(refused);
            return None;
        }
        connection.accounted += size(&request);
        if !connection.running && !connection.ended {
            return Some(connection.start(request, now, self.request_timeout));
        }
        // nothing more is written to the connection, and this request can be dropped without waiting for earlier ones
        if connection.ended && (!connection.running || has_whole_body(Head::of(&request))) {
            drop(state);
            self.abandon([request]);
            return None;
        }
        connection.pipelined.push_back(request);
        // one more than the limit: a client may have its reply before the next request is taken from the queue
        if connection.pipelined.len() > MAX_PIPELINED + 1 && !connection.ended {
            connection.ended = true;
            drop(state);
            // at debug level only: otherwise anybody could fill the journal with it
            log::debug!("{address} is ended: more than {MAX_PIPELINED} requests pipelined");
            self.close(id, &[]);
        }
        None
    }

    /// Counts a request as answered, or as one that gets no reply.
    pub fn count_answered(&self) {
        self.change(|state| state.unanswered -= 1);
    }

    /// Records that the request of a connection is over. Returns the next one that is to be served.
    pub fn next_request(&self, id: Option<ConnectionId>) -> Option<ReadyRequest> {
        let mut id = id?;
        loop {
            let mut state = self.lock();
            let now = Instant::now();
            // after a panic the body is still there
            state.take_body(id);
            let connection = state.get_mut(id)?;
            if connection.ended && connection.end == End::Reset && !connection.pipelined.is_empty() {
                // they came on another connection that took over the address
                connection.restart_with_pipelined(now);
                id = connection.id;
            }
            let Some(request) = connection.pipelined.pop_front() else {
                (connection.running, connection.idle_since) = (false, now);
                return None;
            };
            if !connection.ended {
                return Some(connection.start(request, now, self.request_timeout));
            }
            // one by one in their order, for which tiny_http would wait
            drop(state);
            self.abandon([request]);
        }
    }

    /// Whether this request is the only one that waits for a reply, so that no other request waits while it is written,
    /// and the socket takes it at once. Never waits; returns false where it would have to.
    pub fn is_only_and_has_room(&self, id: ConnectionId) -> bool {
        let is_alone = |state: &State| state.unanswered == state.streams + 1;
        let is_draining = self.draining.load(Ordering::SeqCst);
        !is_draining && self.state.try_lock().is_ok_and(|state| is_alone(&state) && state.has_room(id))
    }

    /// Whether the client has taken all earlier replies, as far as known.
    pub fn has_room(&self, id: ConnectionId) -> bool {
        self.lock().has_room(id)
    }

    /// The state. Outside of this folder only the reaper takes it.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
