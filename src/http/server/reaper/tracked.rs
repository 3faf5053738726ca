//! The socket statistics of one connection, from one scan to the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::server::acceptor::Acceptor;
use crate::http::server::connections::{Connection, End};
use crate::http::server::sockets::{Peer, SocketId};

/// How long until a thread is woken again for a connection that still waits for one: each time costs one more
/// connection.
pub const WAKE_PAUSE: Duration = Duration::from_millis(100);

/// A socket of one of our connections.
pub struct Tracked {
    /// The client's address; `None` on a Unix socket.
    pub client: Option<SocketAddr>,
    /// The acceptor that has accepted it.
    pub acceptor: Option<Arc<Acceptor>>,
    pub socket: SocketId,
    /// The scan that last found it.
    pub scan: u64,
    /// Bytes received; `None` where that is not known.
    pub(super) received: Option<u64>,
    /// Bytes received that tiny_http has not read.
    pub(super) unread: u64,
    /// tiny_http has read from it, so that it has a thread.
    was_read: bool,
    /// Bytes of requests that tiny_http has read and not returned.
    pub backlog: u64,
    /// The same when no request of the connection was being served: white space that is not accounted for.
    slack: u64,
    /// How many requests of the connection were started when the next two were measured.
    pub(super) started: u64,
    /// Bytes received with these requests.
    pub(super) received_before: u64,
    /// How many of them tiny_http had read.
    pub(super) read_before: u64,
    /// Bytes received beyond the accounted ones, when `started` last changed.
    surplus: u64,
    /// By how much the surplus grew with each request. White space behind requests is the same each time.
    surplus_each: Option<u64>,
    /// When a thread was last woken for it.
    woken: Option<Instant>,
    /// On a Unix socket: since when `unread` is the same and not 0.
    pub(super) unread_since: Option<Instant>,
    /// On a Unix socket: bytes that its client has not taken, and since when they are the same and not 0.
    pub(super) unsent: u64,
    pub(super) unsent_since: Option<Instant>,
    /// When it ended: it waits for tiny_http to close it.
    pub ended: Option<Instant>,
}

impl Tracked {
    pub fn new(peer: Peer, acceptor: Option<Arc<Acceptor>>, socket: SocketId, scan: u64, now: Instant) -> Self {
        let client = if let Peer::Client(client) = peer { Some(client) } else { None };
        Self {
            client,
            acceptor,
            socket,
            scan,
            received: None,
            unread: 0,
            was_read: false,
            backlog: 0,
            slack: 0,
            started: 0,
            received_before: 0,
            read_before: 0,
            surplus: 0,
            surplus_each: None,
            woken: None,
            unread_since: None,
            unsent: 0,
            unsent_since: None,
            ended: (peer == Peer::Reset).then_some(now),
        }
    }

    /// Reads the statistics of a TCP connection.
    pub fn measure(&mut self) {
        if self.client.is_none() {
            return;
        }
        let received = self.socket.received();
        if received != self.received || self.unread > 0 {
            (self.received, self.unread) = (received, self.socket.unread());
        }
        // the client's end of stream may count as one byte
        self.was_read |= self.read() > 1;
    }

    /// Bytes that tiny_http has read from the connection.
    pub(super) fn read(&self) -> u64 {
        self.received.unwrap_or_default().saturating_sub(self.unread)
    }

    /// Whether a thread of tiny_http's has it or will have it: the threads of the newest acceptor can still be woken.
    pub fn has_thread(&self, newest: Option<&Arc<Acceptor>>) -> bool {
        let is_newest = || self.acceptor.as_ref().zip(newest).is_some_and(|(ours, newest)| Arc::ptr_eq(ours, newest));
        self.was_read || self.client.is_none() || is_newest()
    }

    /// Whether it may wait for a thread: nothing of it was read, or that is not known.
    pub fn may_lack_thread(&self) -> bool {
        self.ended.is_none() && !(self.was_read && self.client.is_some())
    }

    /// Whether a thread is to be woken for it now, for the first time or again.
    pub fn is_due_to_wake(&mut self, now: Instant) -> bool {
        let is_due = self.woken.is_none_or(|woken| now >= woken + WAKE_PAUSE);
        if is_due {
            self.woken = Some(now);
        }
        is_due
    }

    /// Computes the backlog: what tiny_http has read beyond the accounted bytes.
    pub(super) fn measure_backlog(&mut self, connection: &Connection) {
        if !connection.running && self.unread == 0 {
            self.slack = self.read().saturating_sub(connection.accounted);
        }
        // a body is accounted for when it is read, and what comes after a refusal is not at all
        let is_accounted = connection.body.is_none() && connection.end != End::Refused;
        self.backlog = if is_accounted { self.read().saturating_sub(connection.accounted + self.slack) } else { 0 };
    }

    /// Measures what came with the requests that were started since the last call, but for what belongs to the next
    /// request.
    pub(super) fn measure_started(&mut self, connection: &Connection) {
        // the last measurement may be older than the requests
        self.measure();
        let Some(received) = self.received.filter(|_| self.socket.is_open()) else { return };
        let (read, requests) = (self.read(), connection.started.saturating_sub(self.started));
        let begun = self.begun(received.saturating_sub(connection.accounted), requests);
        (self.started, self.received_before, self.read_before) = (connection.started, received - begun, read);
    }

    /// How many bytes of a further request came with this many requests, as far as known.
    fn begun(&mut self, surplus: u64, requests: u64) -> u64 {
        let more = surplus.saturating_sub(self.surplus);
        self.surplus = surplus;
        let each = more / requests.max(1);
        let is_white_space = more == each * requests && (requests > 1 || self.surplus_each == Some(each));
        self.surplus_each = Some(each);
        if is_white_space { 0 } else { more }
    }
}
