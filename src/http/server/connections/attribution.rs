//! Connections that have the address of another, which its client has reset: a request tells no more than an address, and
//! what one connection has left behind must not be counted against the next.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::connection::MISCOUNTED;
use super::{Connection, Connections, End, MAX_FOLLOWERS, State, size};
use crate::http::server::sockets::descriptors;
use crate::http::server::sockets::{Place, is_connected};

/// What tells a connection from those that had its address before.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Whose a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: SocketAddr,
    pub(super) id: u64,
}

/// A request whose turn it is.
pub struct Turn {
    pub request: Request,
    /// `None` on a Unix socket.
    pub client: Option<Client>,
}

/// A request of which only the reaper's next look tells whether it is of the connection that is known by its address, or
/// of the next.
pub struct Doubtful {
    request: Request,
    since: Instant,
}

/// What becomes of requests when the reaper knows whose they are.
#[derive(Default)]
pub struct Told {
    /// Those whose turn it is.
    pub turns: Vec<Turn>,
    /// Those that get no answer.
    pub orphans: Vec<Request>,
}

pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl State {
    /// The connection of this client, unless another has its address by now.
    pub(super) fn of(&self, client: Client) -> Option<&Connection> {
        self.table.get(&client.address).filter(|connection| connection.id == client.id)
    }

    pub(super) fn of_mut(&mut self, client: Client) -> Option<&mut Connection> {
        self.table.get_mut(&client.address).filter(|connection| connection.id == client.id)
    }

    /// The connection at a place. `None` if another has its address by now.
    pub fn meet(&mut self, address: SocketAddr, place: Place, now: Instant) -> Option<&mut Connection> {
        let connection = self.table.entry(address).or_insert_with(|| Connection::new(now));
        let is_it = match connection.place {
            Some(known) => known.cookie == place.cookie,
            None if connection.ended && (!connection.running || connection.end == End::Gone) => false,
            None => !connection.running || connection.may_be_at(place),
        };
        if !is_it {
            // of one that was reset a descriptor may still be there
            if !is_connected(place, address) {
                return None;
            }
            let is_alone = !connection.place.is_some_and(|known| is_connected(known, address));
            connection.is_shared |= !is_alone || self.pairs.contains(&address);
            if !is_alone {
                return self.table.get_mut(&address);
            }
            // what is left may be of the one that is still there
            if !connection.is_shared || connection.ended {
                // nothing is told of a number that was closed meanwhile
                let old = connection.succeed(descriptors::read(place.number)?, now);
                connection.ended = old.flooded.is_some_and(|flooded| flooded.cookie == place.cookie);
                self.held -= old.body.map_or(0, |body| body.held);
                self.orphans.extend(old.followers);
            }
        }
        let connection = self.table.get_mut(&address)?;
        connection.set_place(place);
        Some(connection)
    }

    /// Whether this client's connection is one of two that cannot be told apart.
    pub(super) fn is_shared(&self, client: Client) -> bool {
        self.of(client).is_some_and(|connection| connection.is_shared)
    }

    /// Says whose the doubtful requests are that came before the look that began at `now`: where the address is nobody
    /// else's, they were sent before the connection was reset.
    pub fn tell(&mut self, now: Instant, request_timeout: Duration) -> Told {
        let mut told = Told { turns: Vec::new(), orphans: mem::take(&mut self.orphans) };
        for (address, connection) in &mut self.table {
            connection.adopt(*address, now, request_timeout, &mut told);
        }
        self.unanswered -= told.orphans.len();
        told
    }
}

impl Connections {
    /// Ends the connection that has this client's address by now: it has sent more than is kept for it.
    pub(super) fn end_flood(&self, client: Client) {
        log::debug!("{} is ended: more than {MAX_FOLLOWERS} requests pipelined", client.address);
        for place in self.sockets.search_all(client.address) {
            if let Some(connection) = self.lock().of_mut(client) {
                connection.flooded = Some(place);
            }
            self.sockets.shut(place, &[]);
        }
    }
}

impl Connection {
    pub(super) fn client(&self, address: SocketAddr) -> Client {
        Client { address, id: self.id }
    }

    /// Whether nothing of it is with us, and its address is another's: asked once between two looks of the reaper, so that
    /// it costs nothing where requests come fast.
    pub(super) fn was_left(&mut self, address: SocketAddr, looks: u64) -> bool {
        let is_known =
            self.running || self.ended || !self.doubtful.is_empty() || mem::replace(&mut self.found, looks + 1) > looks;
        !is_known && self.place.is_some_and(|place| !is_connected(place, address))
    }

    /// Whether a request that comes from the address may be another connection's.
    pub(super) fn may_be_over(&self, address: SocketAddr) -> bool {
        match self.place {
            _ if !self.doubtful.is_empty() || self.is_flooded(address) => true,
            _ if !self.running && !self.ended => false,
            Some(place) => !is_connected(place, address),
            None => self.ended,
        }
    }

    /// Whether the connection at its address has sent too many doubtful requests.
    pub(super) fn is_flooded(&self, address: SocketAddr) -> bool {
        self.flooded.is_some_and(|place| is_connected(place, address))
    }

    /// Keeps a request until it is known whose it is. Gives all back if there are too many: none gets an answer then.
    pub(super) fn doubt(&mut self, request: Request, now: Instant) -> Vec<Request> {
        self.doubtful.push_back(Doubtful { request, since: now });
        if self.doubtful.len() <= MAX_FOLLOWERS + 1 {
            return Vec::new();
        }
        mem::take(&mut self.doubtful).into_iter().map(|doubtful| doubtful.request).collect()
    }

    /// The reaper knows where its socket is, and all requests so far are its own.
    pub(super) fn set_place(&mut self, place: Place) {
        self.place = Some(place);
        self.seen = self.turns;
    }

    /// Its address is another's now, of which so many bytes were read. Returns what is left of the one before.
    fn succeed(&mut self, read: u64, now: Instant) -> Self {
        // requests that came after the last look may be those of either
        let is_unknown =
            self.place.is_some() && self.turns > self.seen && self.doubtful.is_empty() && read > 1 && !self.ended;
        let mut next = Self::new(now);
        if is_unknown && self.running && read + MISCOUNTED >= self.size {
            // it is served as the other's, and only its answer ends that
            self.booked = read;
            return next;
        }
        if is_unknown && !self.running {
            (next.turns, next.booked) = (self.turns - self.seen, read);
        }
        // where nobody has seen the one before, they may be of either too
        if self.place.is_none() {
            next.doubtful
                .extend(mem::take(&mut self.followers).into_iter().map(|request| Doubtful { request, since: now }));
        }
        next.doubtful.append(&mut self.doubtful);
        // what is more than the next has sent is of the one before
        while next.doubtful.iter().map(|doubtful| size(&doubtful.request)).sum::<u64>() > read + MISCOUNTED {
            self.followers.extend(next.doubtful.pop_front().map(|doubtful| doubtful.request));
        }
        mem::replace(self, next)
    }

    /// Takes the doubtful requests for its own.
    fn adopt(&mut self, address: SocketAddr, now: Instant, request_timeout: Duration, told: &mut Told) {
        if self.doubtful.back().is_none_or(|last| last.since >= now) {
            return;
        }
        let requests = mem::take(&mut self.doubtful).into_iter().map(|doubtful| doubtful.request);
        if self.ended {
            return told.orphans.extend(requests);
        }
        for request in requests {
            self.booked += size(&request);
            self.followers.push_back(request);
        }
        if self.running {
            return;
        }
        if let Some(request) = self.followers.pop_front() {
            self.start(&request, now, request_timeout);
            told.turns.push(Turn { request, client: Some(self.client(address)) });
        }
    }

    /// Has those that follow it for a connection of their own, of which nothing else is known.
    pub(super) fn pass_followers(&mut self, now: Instant) {
        let followers: VecDeque<Request> = mem::take(&mut self.followers);
        let (booked, doubtful) = (followers.iter().map(size).sum(), mem::take(&mut self.doubtful));
        *self = Self { booked, followers, doubtful, ..Self::new(now) };
    }

    /// Whether it may go from the table where its socket is not there any more.
    pub fn is_done(&self) -> bool {
        !self.running && self.doubtful.is_empty()
    }

    /// Whether nothing that comes from its address is its own any more.
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.is_done() && self.end == End::Gone
    }
}
