//! The connections of one listener: whose turn it is on each, and when what it sends is due.
//!
//! The library writes the answers of a connection in the order of its requests, and makes whoever answers too early
//! wait. The broker may answer in any order, so that two requests of one connection must not be with it together.

mod bodies;
mod line_ends;
mod refusals;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tiny_http::Request;

pub use self::bodies::{Body, Cut};
use self::refusals::Lingering;
use super::descriptors;
use super::errands::Errands;
use super::exchange::let_go;
use super::request::{has_whole_body, head_size};
use super::sockets::{Place, Sockets, is_there};

/// Requests that may be pipelined behind one that is not yet answered.
pub const MAX_FOLLOWERS: usize = 16;
/// How long a worker waits for room on a Unix socket before it looks whether it is to end.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);
/// How often all sockets are looked through for one client's sake.
const SEARCH_PAUSE: Duration = Duration::from_millis(100);
/// Bytes by which the size of requests may be overestimated: a header needs no space before its value.
const MISCOUNTED: u64 = 16;

/// All connections of one listener.
pub struct Connections {
    sockets: Sockets,
    /// For answers on connections that cannot be told from each other.
    writers: Errands,
    request_timeout: Duration,
    /// Requests on a Unix socket that may be without an answer: no more than there are threads to write.
    max_unanswered: usize,
    /// Bytes that unfinished bodies may take together.
    max_held: usize,
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
    /// Connections that are refused and may still be sending.
    pub lingering: Vec<Lingering>,
    /// Requests that came and have no answer yet.
    unanswered: usize,
    /// Those of them whose answer goes on.
    streams: usize,
    /// Threads that wait for a change of this: hardly ever one, and telling nobody costs a system call.
    watchers: usize,
    /// Bytes of unfinished bodies.
    held: usize,
    /// How often the guard has looked.
    pub looks: u64,
}

/// What is known of one connection.
pub struct Connection {
    /// Where its socket is to be found; the guard tells.
    pub place: Option<Place>,
    pub created: Instant,
    /// A request of it is with us.
    pub running: bool,
    /// How many requests it had.
    pub turns: u64,
    /// Bytes of all requests that the library handed on, as far as they can be told, and of the bodies read since.
    pub booked: u64,
    /// When its last request was answered, or it began.
    pub quiet_since: Instant,
    /// When the guard first saw bytes of a request that is not yet complete.
    pub first_byte: Option<Instant>,
    /// When the last byte of the request that is with us must have come.
    due: Instant,
    /// The body that is being read.
    pub body: Option<Body>,
    /// Nothing more is taken from it.
    pub ended: bool,
    /// How it ended.
    pub end: End,
    followers: VecDeque<Request>,
    /// Not before that time it is asked again whether another connection has the address of this one, which has ended.
    next_search: Instant,
}

/// How a connection ended, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Or not at all.
    Usual,
    /// It is refused, and what it goes on sending is thrown away.
    Refused,
    /// Its client has reset it: what follows comes from another that took over its address.
    Gone,
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
    fn has_room(&self, client: SocketAddr) -> bool {
        let is_taken = |place: Place| descriptors::unsent(place.number) == 0;
        let has_room = |connection: &Connection| connection.turns == 1 || connection.place.is_some_and(is_taken);
        self.table.get(&client).is_some_and(has_room)
    }
}

impl Connection {
    pub fn new(now: Instant) -> Self {
        Self {
            place: None,
            created: now,
            running: false,
            turns: 0,
            booked: 0,
            quiet_since: now,
            first_byte: None,
            due: now,
            body: None,
            ended: false,
            end: End::Usual,
            followers: VecDeque::new(),
            next_search: now,
        }
    }
}

impl Connections {
    /// `request_timeout`: from the first byte of a request to its last; `max_held`: bytes that unfinished bodies may
    /// take together.
    pub fn new(sockets: Sockets, writers: Errands, request_timeout: Duration, max_held: usize) -> Self {
        Self {
            sockets,
            request_timeout,
            max_unanswered: writers.max_threads(),
            writers,
            max_held,
            state: Mutex::default(),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
        }
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
    pub fn arrive(&self, request: Request) -> Option<Request> {
        let mut state = self.lock();
        state.unanswered += 1;
        let Some(client) = request.remote_addr().copied() else {
            return Some(request);
        };
        let now = Instant::now();
        let connection = state.table.entry(client).or_insert_with(|| Connection::new(now));
        connection.booked += size(&request);
        if connection.running {
            // nothing will ever be written to it, and letting go of it does not wait for those before it
            if connection.ended && has_whole_body(&request) && connection.place.is_some_and(is_there) {
                state.unanswered -= 1;
                drop(state);
                let_go(request);
                return None;
            }
            connection.followers.push_back(request);
            // one more: the client may have its answer already, and the turn not yet have passed on
            if connection.followers.len() > MAX_FOLLOWERS + 1 && !connection.ended {
                connection.ended = true;
                drop(state);
                // not for everybody to read: a stranger could fill the journal with it
                log::debug!("{client} is ended: more than {MAX_FOLLOWERS} requests pipelined");
                self.shut(client, &[]);
            }
            return None;
        }
        if connection.ended {
            let is_due = now >= connection.next_search;
            connection.next_search = now + SEARCH_PAUSE;
            if connection.end != End::Gone && !(is_due && self.is_another(client, connection)) {
                state.unanswered -= 1;
                drop(state);
                let_go(request);
                return None;
            }
            *connection = Connection::new(now);
            connection.booked = size(&request);
        }
        connection.start(now, self.request_timeout);
        Some(request)
    }

    /// A request has its answer, or gets none any more.
    pub fn settle(&self) {
        self.change(|state| state.unanswered -= 1);
    }

    /// The turn of this client's request is over. Returns the follower whose turn it is now.
    pub fn pass_on(&self, client: Option<SocketAddr>) -> Option<Request> {
        let mut asked = false;
        loop {
            let mut locked = self.lock();
            let state = &mut *locked;
            let now = Instant::now();
            let connection = state.table.get_mut(&client?)?;
            // a panic left it
            state.held -= connection.body.take().map_or(0, |body| body.held);
            // a look through all sockets, and so at most one
            let asks = connection.ended && !connection.followers.is_empty() && !mem::replace(&mut asked, true);
            if asks && (connection.end == End::Gone || self.is_another(client?, connection)) {
                // they came on a connection that took over the address
                let followers = mem::take(&mut connection.followers);
                let booked = followers.iter().map(size).sum();
                *connection = Connection { booked, followers, ..Connection::new(now) };
            }
            let Some(follower) = connection.followers.pop_front() else {
                (connection.running, connection.quiet_since) = (false, now);
                return None;
            };
            if !connection.ended {
                connection.start(now, self.request_timeout);
                return Some(follower);
            }
            // in their order, or the library would wait
            drop(locked);
            let_go(follower);
            self.settle();
        }
    }

    /// Lets no further request of this client be taken, those that are already waiting included.
    pub fn end(&self, client: SocketAddr) {
        if let Some(connection) = self.lock().table.get_mut(&client) {
            connection.ended = true;
        }
    }

    /// The client has reset the connection.
    pub fn set_gone(&self, client: SocketAddr) {
        if let Some(connection) = self.lock().table.get_mut(&client) {
            (connection.ended, connection.end) = (true, End::Gone);
        }
    }

    /// Says the last words on a connection and ends it.
    pub fn shut(&self, client: SocketAddr, words: &[u8]) {
        self.end(client);
        if let Some(place) = self.find(client) {
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
    pub fn is_only_and_has_room(&self, client: SocketAddr) -> bool {
        let is_open = !self.closing.load(Ordering::SeqCst);
        is_open && self.state.try_lock().is_ok_and(|state| state.is_only() && state.has_room(client))
    }

    /// Whether this client has taken all earlier answers, as far as that is known.
    pub fn has_room(&self, client: SocketAddr) -> bool {
        self.lock().has_room(client)
    }

    /// Whether the next answer on this connection is its last.
    pub fn is_last(&self, client: Option<SocketAddr>) -> bool {
        if !self.closing.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.lock();
        client.is_none_or(|client| state.table.get(&client).is_none_or(|connection| connection.followers.is_empty()))
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
    pub fn writers(&self) -> &Errands {
        &self.writers
    }

    /// What the guard works on.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guard has looked.
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

    /// Whether a client's address belongs to another connection by now than to this one, which has ended.
    fn is_another(&self, client: SocketAddr, ended: &Connection) -> bool {
        let is_it = |place: Place| ended.place.map_or(ended.may_be_at(place), |ended| ended.cookie == place.cookie);
        let is_still_there = |place: Place| is_there(place) && descriptors::client(place.number) == Some(client);
        !ended.place.is_some_and(is_still_there) && self.sockets.search(client).is_some_and(|place| !is_it(place))
    }

    /// Whether all that this client will ever send was read.
    pub fn is_at_end(&self, client: SocketAddr) -> bool {
        self.find(client).is_none_or(|place| self.sockets.is_at_end(place))
    }

    /// Where the socket of a client is, as the guard saw it, or found by looking at all.
    fn find(&self, client: SocketAddr) -> Option<Place> {
        if let Some(place) = self.lock().table.get(&client)?.place {
            return Some(place);
        }
        let place = self.sockets.search(client)?;
        let mut state = self.lock();
        let connection = state.table.get_mut(&client).filter(|connection| connection.may_be_at(place))?;
        // whatever comes from this address from now on is told from what this one had sent
        connection.place = Some(place);
        Some(place)
    }
}

impl Connection {
    /// Whether a connection from the same address may be this one. One that has just taken it over, because this one was
    /// reset, has not sent as much.
    pub fn may_be_at(&self, place: Place) -> bool {
        // nothing is told of a number that was closed meanwhile
        descriptors::read(place.number).is_none_or(|read| read + MISCOUNTED >= self.booked)
    }

    fn start(&mut self, now: Instant, request_timeout: Duration) {
        self.running = true;
        self.turns += 1;
        self.due = self.first_byte.take().unwrap_or(now) + request_timeout;
    }
}

/// Bytes that a request took on the wire, less white space that the library drops and a body that is still to be read.
fn size(request: &Request) -> u64 {
    let body = if has_whole_body(request) { request.body_length().unwrap_or_default() } else { 0 };
    head_size(request) + body as u64
}
