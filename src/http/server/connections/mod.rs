//! The connections of one listener: which request of each is served next, and when what it sends is due.
//!
//! tiny_http reads the next request of a connection while the one before is being served, writes the replies in the
//! order of the requests, and blocks the thread that writes one too early. The broker may answer in any order, so only
//! one request of a connection is served at a time.

mod attribution;
mod bodies;
mod closing;
mod connection;
mod line_ends;
mod lingering;
mod state;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tiny_http::Request;

pub use self::connection::{Connection, ConnectionId, Cut, End, MAX_PIPELINED, ReadyRequest};
pub use self::state::State;

use self::connection::size;
use super::request::Head;
use super::request::framing::has_whole_body;
use super::response::disposal::drop_unanswered;
use super::sockets::Sockets;
use super::thread_pool::ThreadPool;
use crate::memory::Memory;

/// All connections of one listener.
pub struct Connections {
    pub sockets: Sockets,
    /// Threads for what may have to wait for a client: writing a long reply, dropping a request whose body is unread.
    pub writers: ThreadPool,
    request_timeout: Duration,
    /// The most unanswered requests on a Unix socket: one for each thread that may write.
    max_unanswered: usize,
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
    /// `request_timeout`: from the first byte of a request to its last; `max_reserved`: bytes of memory for bodies that
    /// are being read.
    pub fn new(
        sockets: Sockets,
        writers: ThreadPool,
        request_timeout: Duration,
        max_reserved: usize,
        memory: Memory,
    ) -> Self {
        Self {
            sockets,
            request_timeout,
            max_unanswered: writers.max_threads(),
            writers,
            max_reserved,
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
        let connection = state.table.entry(address).or_insert_with(|| Connection::new(now));
        if connection.is_gone() || connection.has_lost_address(address, scans) {
            *connection = Connection::new(now);
        }
        let id = connection.id(address);
        if connection.may_be_replaced(address) {
            let is_flooding = connection.is_flooding(address);
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
            connection.start(&request, now, self.request_timeout);
            return Some(ReadyRequest { request, connection: Some(id) });
        }
        // nothing more is written to the connection, and this request can be dropped without waiting for earlier ones
        if connection.ended && (!connection.running || has_whole_body(Head::of(&request))) {
            drop(state);
            self.abandon(Some(request));
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

    /// Drops requests that are not answered. Never waits for the rest of a body.
    fn abandon(&self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            if has_whole_body(Head::of(&request)) {
                drop_unanswered(request);
            } else {
                self.drop_in_pool(request);
            }
            self.count_answered();
        }
    }

    /// Drops a request in a thread that may wait for the rest of its body.
    fn drop_in_pool(&self, request: Request) {
        // without a thread it is never dropped; the reaper counts the connection as stuck
        self.writers.run(request, drop_unanswered).into_iter().for_each(std::mem::forget);
    }

    /// Counts a request as answered, or as one that gets no reply.
    pub fn count_answered(&self) {
        self.change(|state| state.unanswered -= 1);
    }

    /// Records that the request of a connection is over. Returns the next one that is to be served.
    pub fn next_request(&self, id: Option<ConnectionId>) -> Option<ReadyRequest> {
        let mut id = id?;
        loop {
            let mut locked = self.lock();
            let state = &mut *locked;
            let now = Instant::now();
            let connection = state.table.get_mut(&id.address).filter(|connection| connection.serial == id.serial)?;
            // after a panic the body is still there
            state.reserved -= connection.body.take().map_or(0, |body| body.reserved);
            if connection.ended && connection.end == End::Reset && !connection.pipelined.is_empty() {
                // they came on another connection that took over the address
                connection.restart_with_pipelined(now);
                id = connection.id(id.address);
            }
            let Some(request) = connection.pipelined.pop_front() else {
                (connection.running, connection.idle_since) = (false, now);
                return None;
            };
            if !connection.ended {
                connection.start(&request, now, self.request_timeout);
                return Some(ReadyRequest { request, connection: Some(id) });
            }
            // one by one in their order, for which tiny_http would wait
            drop(locked);
            self.abandon(Some(request));
        }
    }

    /// Makes each further reply the last on its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Counts a stream that begins (1) or ends (-1).
    pub fn streams_changed(&self, change: isize) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_add_signed(change);
    }

    /// Whether this request is the only one that waits for a reply, so that no other request waits while it is written,
    /// and the socket takes it at once. Never waits; returns false where it would have to.
    pub fn is_only_and_has_room(&self, id: ConnectionId) -> bool {
        let is_draining = self.draining.load(Ordering::SeqCst);
        !is_draining && self.state.try_lock().is_ok_and(|state| state.has_one_unanswered() && state.has_room(id))
    }

    /// Whether the client has taken all earlier replies, as far as known.
    pub fn has_room(&self, id: ConnectionId) -> bool {
        self.lock().has_room(id)
    }

    /// Whether the next reply on this connection is its last because the server stops.
    pub fn is_last(&self, id: Option<ConnectionId>) -> bool {
        if !self.draining.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.lock();
        id.is_none_or(|id| state.get(id).is_none_or(|connection| connection.pipelined.is_empty()))
    }

    /// The state. Outside of this folder only the reaper takes it.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
