//! The connections of one listener: whose turn it is on each, and when what it sends is due.
//!
//! tiny_http writes the answers of a connection in the order of its requests, and makes whoever answers too early
//! wait. The broker may answer in any order, so that two requests of one connection must not be with it together.

mod attribution;
mod bodies;
mod connection;
mod line_ends;
mod lingering;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tiny_http::Request;

use self::attribution::Told;
pub use self::attribution::{Client, Turn};
pub use self::bodies::Cut;
pub use self::connection::{Connection, End};
use self::lingering::Lingering;
use crate::http::server::request::framing::{has_whole_body, head_size};
use crate::http::server::request::head::Head;
use crate::http::server::response::disposal::drop_unanswered;
use crate::http::server::sockets::descriptors;
use crate::http::server::sockets::{Place, Sockets};
use crate::http::server::thread_pool::ThreadPool;
use crate::memory::Memory;

/// Requests that may be pipelined behind one that is not yet answered.
pub const MAX_FOLLOWERS: usize = 16;
/// How long a worker waits for room on a Unix socket before it looks whether it is to end.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);

/// All connections of one listener.
pub struct Connections {
    sockets: Sockets,
    /// For answers on connections that cannot be told from each other.
    writers: ThreadPool,
    request_timeout: Duration,
    /// Requests on a Unix socket that may be without an answer: no more than there are threads to write.
    max_unanswered: usize,
    /// Bytes that unfinished bodies may take together.
    max_held: usize,
    /// What all requests share, those of other listeners too.
    memory: Memory,
    state: Mutex<State>,
    /// Notified when there is something new to see for those who stop us, or wait for room.
    changed: Condvar,
    /// Every answer is the last on its connection.
    closing: AtomicBool,
}

/// What is known of all connections.
#[derive(Default)]
pub struct State {
    /// By the client's address.
    pub table: HashMap<SocketAddr, Connection>,
    /// Addresses from which there are two connections at once, as far as the reaper has seen.
    pub pairs: HashSet<SocketAddr>,
    /// Connections that are refused and may still be sending.
    pub lingering: Vec<Lingering>,
    /// Requests that get no answer: their client has reset the connection.
    orphans: Vec<Request>,
    /// Requests that came and have no answer yet.
    unanswered: usize,
    /// Those of them whose answer goes on.
    streams: usize,
    /// Threads that wait for a change of this: hardly ever one, and telling nobody costs a system call.
    watchers: usize,
    /// Bytes of unfinished bodies.
    held: usize,
    /// How often the reaper has looked.
    pub looks: u64,
}

impl State {
    /// How many requests came and have no answer yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Whether one request waits for its answer, and no other.
    fn is_only(&self) -> bool {
        self.unanswered == self.streams + 1
    }

    /// Whether nothing was ever written to this client, or it has taken all of that.
    fn has_room(&self, client: Client) -> bool {
        let is_taken = |place: Place| descriptors::unsent(place.number) == 0;
        let has_room = |connection: &Connection| connection.turns == 1 || connection.place.is_some_and(is_taken);
        self.of(client).is_some_and(has_room)
    }
}

impl Connections {
    /// `request_timeout`: from the first byte of a request to its last; `max_held`: bytes that unfinished bodies may
    /// take together.
    pub fn new(
        sockets: Sockets,
        writers: ThreadPool,
        request_timeout: Duration,
        max_held: usize,
        memory: Memory,
    ) -> Self {
        Self {
            sockets,
            request_timeout,
            max_unanswered: writers.max_threads(),
            writers,
            max_held,
            memory,
            state: Mutex::default(),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// The memory that all requests share.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Waits, on a Unix socket, until one more request may come; false if there was no room for a while.
    ///
    /// An answer there has a thread of its own, which waits for the answers to earlier requests of its connection. If all
    /// threads waited for one answer that found none, nothing would ever go on.
    pub fn await_room(&self) -> bool {
        if !self.sockets.is_unix() {
            return true;
        }
        let has_room = |state: &State| state.unanswered < self.max_unanswered;
        self.wait_until(Instant::now() + ROOM_PATIENCE, has_room);
        has_room(&self.lock())
    }

    /// A request that just came. It is given back if it is its turn; otherwise it is kept until then.
    pub fn arrive(&self, request: Request) -> Option<Turn> {
        let mut state = self.lock();
        state.unanswered += 1;
        let Some(address) = request.remote_addr().copied() else {
            return Some(Turn { request, client: None });
        };
        let now = Instant::now();
        let looks = state.looks;
        let connection = state.table.entry(address).or_insert_with(|| Connection::new(now));
        if connection.is_gone() || connection.was_left(address, looks) {
            *connection = Connection::new(now);
        }
        let client = connection.client(address);
        if connection.may_be_over(address) {
            let is_flooded = connection.is_flooded(address);
            let refused = if is_flooded { vec![request] } else { connection.doubt(request, now) };
            drop(state);
            if !is_flooded && !refused.is_empty() {
                self.end_flood(client);
            }
            self.abandon(refused);
            return None;
        }
        connection.booked += size(&request);
        if !connection.running && !connection.ended {
            connection.start(&request, now, self.request_timeout);
            return Some(Turn { request, client: Some(client) });
        }
        // nothing will ever be written to it, and letting go of it does not wait for those before it
        if connection.ended && (!connection.running || has_whole_body(Head::of(&request))) {
            drop(state);
            self.abandon(Some(request));
            return None;
        }
        connection.followers.push_back(request);
        // one more: the client may have its answer already, and the turn not yet have passed on
        if connection.followers.len() > MAX_FOLLOWERS + 1 && !connection.ended {
            connection.ended = true;
            drop(state);
            // not for everybody to read: a stranger could fill the journal with it
            log::debug!("{address} is ended: more than {MAX_FOLLOWERS} requests pipelined");
            self.shut(client, &[]);
        }
        None
    }

    /// Lets go of requests that get no answer. Never waits for the rest of a body.
    fn abandon(&self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            if has_whole_body(Head::of(&request)) {
                drop_unanswered(request);
            } else {
                self.drop_elsewhere(request);
            }
            self.settle();
        }
    }

    /// A request has its answer, or gets none any more.
    pub fn settle(&self) {
        self.change(|state| state.unanswered -= 1);
    }

    /// The turn of this client's request is over. Returns the follower whose turn it is now.
    pub fn pass_on(&self, client: Option<Client>) -> Option<Turn> {
        let mut client = client?;
        loop {
            let mut locked = self.lock();
            let state = &mut *locked;
            let now = Instant::now();
            let connection = state.table.get_mut(&client.address).filter(|connection| connection.id == client.id)?;
            // a panic left it
            state.held -= connection.body.take().map_or(0, |body| body.held);
            if connection.ended && connection.end == End::Gone && !connection.followers.is_empty() {
                // they came on a connection that took over the address
                connection.pass_followers(now);
                client = connection.client(client.address);
            }
            let Some(follower) = connection.followers.pop_front() else {
                (connection.running, connection.quiet_since) = (false, now);
                return None;
            };
            if !connection.ended {
                connection.start(&follower, now, self.request_timeout);
                return Some(Turn { request: follower, client: Some(client) });
            }
            // in their order, or tiny_http would wait
            drop(locked);
            self.abandon(Some(follower));
        }
    }

    /// Says whose the doubtful requests are, after a look that began at `now`. Returns those whose turn it is.
    pub fn tell(&self, now: Instant) -> Vec<Turn> {
        let mut told = Told::default();
        self.change(|state| told = state.tell(now, self.request_timeout));
        told.orphans.into_iter().for_each(|request| self.drop_elsewhere(request));
        told.turns
    }

    /// Lets no further request of this client be taken, those that are already waiting included.
    pub fn end(&self, client: Client) {
        if let Some(connection) = self.lock().of_mut(client) {
            connection.ended = true;
        }
    }

    /// The client has reset the connection.
    pub fn set_gone(&self, client: Client) {
        // of two the reaper sees which is still there
        if let Some(connection) = self.lock().of_mut(client).filter(|connection| !connection.is_shared) {
            (connection.ended, connection.end) = (true, End::Gone);
        }
    }

    /// Says the last words on a connection and ends it.
    pub fn shut(&self, client: Client, words: &[u8]) {
        self.end(client);
        let places = self.places(client);
        if places.is_empty() {
            self.set_gone(client);
        }
        for place in places {
            self.sockets.shut(place, words);
        }
    }

    /// The answer to a request goes on from now on, or no longer.
    pub fn streams_changed(&self, change: isize) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_add_signed(change);
    }

    /// Whether this client's request is the only one here that waits for an answer, so that no other waits while that is
    /// written, and there is room for that. Waits for nobody, and says no where it would have to.
    pub fn is_only_and_has_room(&self, client: Client) -> bool {
        let is_open = !self.closing.load(Ordering::SeqCst);
        is_open && self.state.try_lock().is_ok_and(|state| state.is_only() && state.has_room(client))
    }

    /// Whether this client has taken all earlier answers, as far as that is known.
    pub fn has_room(&self, client: Client) -> bool {
        self.lock().has_room(client)
    }

    /// Whether the next answer on this connection is its last.
    pub fn is_last(&self, client: Option<Client>) -> bool {
        if !self.closing.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.lock();
        client.is_none_or(|client| state.of(client).is_none_or(|connection| connection.followers.is_empty()))
    }

    /// Makes each further answer the last on its connection.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Waits until each connection that was accepted had a request, or the deadline has come.
    pub fn await_first_requests(&self, deadline: Instant) {
        let looks = self.lock().looks;
        // two: one may have begun before
        self.wait_until(deadline, |state| {
            let fresh = |connection: &Connection| connection.turns == 0 && !connection.ended;
            state.looks > looks + 1 && !state.table.values().any(fresh)
        });
    }

    /// Waits until every request that came is answered, or the deadline has come. Returns how many are not.
    pub fn await_idle(&self, deadline: Instant) -> usize {
        self.wait_until(deadline, |state| state.unanswered == 0);
        self.lock().unanswered
    }

    fn wait_until(&self, deadline: Instant, done: impl Fn(&State) -> bool) {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let mut state = self.lock();
        state.watchers += 1;
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0.watchers -= 1;
    }

    /// The sockets behind them.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// For answers that may have to wait for those of earlier requests.
    pub fn writers(&self) -> &ThreadPool {
        &self.writers
    }

    /// What the reaper works on.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reaper has looked.
    pub fn looked(&self) {
        self.change(|state| state.looks += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let is_watched = state.watchers > 0;
        drop(state);
        if is_watched {
            self.changed.notify_all();
        }
    }

    /// Whether all that this client will ever send was read.
    pub fn is_at_end(&self, client: Client) -> bool {
        let places = self.places(client);
        places.is_empty() || places.into_iter().any(|place| self.sockets.is_at_end(place))
    }

    /// Where its socket is, or where both are that cannot be told apart: what ends one ends the other.
    fn places(&self, client: Client) -> Vec<Place> {
        if self.lock().is_shared(client) {
            return self.sockets.search_all(client.address).collect();
        }
        self.find(client).into_iter().collect()
    }

    /// Ends all connections that cannot be told from this client's.
    pub fn shut_all(&self, client: Client) {
        self.end(client);
        for place in self.sockets.search_all(client.address) {
            self.sockets.shut(place, &[]);
        }
    }

    /// Whether two connections from the address of this client are there at once, seen by looking at all.
    pub fn is_one_of_two(&self, client: Client) -> bool {
        let mut cookies = self.sockets.search_all(client.address).map(|place| place.cookie);
        let is_shared = self.lock().is_shared(client);
        is_shared || cookies.next().is_some_and(|first| cookies.any(|cookie| cookie != first))
    }

    /// Where the socket of a client is, as the reaper saw it, or found by looking at all.
    fn find(&self, client: Client) -> Option<Place> {
        match self.lock().of(client)? {
            Connection { place: Some(place), .. } => return Some(*place),
            // whoever is there is another
            Connection { end: End::Gone, .. } => return None,
            _ => {}
        }
        let place = self.sockets.search(client.address)?;
        let mut state = self.lock();
        let connection = state.of_mut(client).filter(|connection| connection.may_be_at(place))?;
        // whatever comes from this address from now on is told from what this one had sent
        connection.set_place(place);
        Some(place)
    }
}

/// Bytes that a request took on the wire, less white space that tiny_http drops and a body that is still to be read.
fn size(request: &Request) -> u64 {
    let body = if has_whole_body(Head::of(request)) { request.body_length().unwrap_or_default() } else { 0 };
    head_size(Head::of(request)) + body as u64
}
