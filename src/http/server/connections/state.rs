//! What is known of all connections of a listener, under one lock.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Instant;

use tiny_http::Request;

use super::connection::{Body, Connection, ConnectionId};
use crate::http::server::sockets::SocketId;

/// What is known of all connections.
#[derive(Default)]
pub struct State {
    /// By the client's address.
    pub table: HashMap<SocketAddr, Connection>,
    /// Addresses from which two connections are open at once, as of the reaper's last `judge`.
    pub shared_addresses: HashSet<SocketAddr>,
    /// Connections whose request was refused and that may still be sending.
    pub lingering: Vec<LingeringClose>,
    /// Requests that cannot be answered: the client has reset their connection.
    pub(super) unanswerable: Vec<Request>,
    /// Requests that came and are not answered.
    pub unanswered: usize,
    /// How many of them are being answered with a stream.
    pub(super) streams: usize,
    /// Threads that wait for a change. There is hardly ever one, and notifying costs a system call even without any.
    pub(super) waiters: usize,
    /// Bytes of memory reserved for bodies that are being read.
    pub(super) reserved: usize,
    /// How many scans of the sockets the reaper has finished.
    pub scans: u64,
}

/// A connection whose request was refused. The request is kept until the end, since tiny_http reads from the connection
/// when it is dropped.
pub struct LingeringClose {
    pub socket: Option<SocketId>,
    pub until: Instant,
    pub(super) connection: ConnectionId,
    pub(super) request: Request,
}

impl State {
    /// The connection with this identifier, unless a later one has its address.
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.table.get(&id.address).filter(|connection| connection.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(&id.address).filter(|connection| connection.id == id)
    }

    /// Ends the reading of a body, and frees its memory.
    pub(super) fn take_body(&mut self, id: ConnectionId) -> Option<Body> {
        let body = self.get_mut(id)?.body.take()?;
        self.reserved -= body.reserved;
        Some(body)
    }

    /// Whether a connection cannot be told from another one with its address.
    pub(super) fn is_shared(&self, id: ConnectionId) -> bool {
        self.get(id).is_some_and(|connection| connection.is_shared)
    }

    /// Whether the client has taken all that was written to it, or nothing was written yet.
    pub(super) fn has_room(&self, id: ConnectionId) -> bool {
        let is_taken = |socket: SocketId| socket.unsent() == 0;
        let has_room = |connection: &Connection| connection.started == 1 || connection.socket.is_some_and(is_taken);
        self.get(id).is_some_and(has_room)
    }

    /// Gives this many lingering connections no more time, the longest refused first. Returns how many there were.
    pub fn expire_lingering(&mut self, count: usize, now: Instant) -> usize {
        let expired = self.lingering.iter_mut().filter(|lingering| lingering.until > now).take(count);
        expired.map(|lingering| lingering.until = now).count()
    }
}
