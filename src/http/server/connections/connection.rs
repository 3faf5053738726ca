//! What is known of one connection, and of the requests on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::http::server::request::Head;
use crate::http::server::request::framing::size_with_body;
use crate::http::server::sockets::SocketId;

/// The most requests that may be pipelined behind one that is being served.
pub const MAX_PIPELINED: usize = 16;
/// Bytes by which the size of a request may be overestimated: a header needs no space before its value.
pub(super) const SIZE_ERROR: u64 = 16;

/// Numbers the connections, to tell one from those that had its address before.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

/// A connection by its client's address, and a number, since a later connection may have the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId {
    pub address: SocketAddr,
    serial: u64,
}

/// A request that is to be served now: no earlier one of its connection is being served.
pub struct ReadyRequest {
    pub request: Request,
    /// `None` on a Unix socket, where a request does not say which connection it came on.
    pub connection: Option<ConnectionId>,
}

/// What is known of one connection.
pub struct Connection {
    pub(super) id: ConnectionId,
    /// Its socket, once the reaper has found it.
    pub socket: Option<SocketId>,
    /// Another connection from the same address is open at the same time, to another address of ours. It is not known
    /// which of them a request came on, so that they are treated as one.
    pub is_shared: bool,
    pub created: Instant,
    /// A request of it is being served.
    pub running: bool,
    /// How many requests were started.
    pub started: u64,
    /// How many of them when the reaper last saw the socket.
    pub(super) started_at_scan: u64,
    /// The number of scans when a request last checked that the connection still has its address.
    pub(super) checked_at_scan: u64,
    /// Size of the request that is being served, in bytes, as far as it is `accounted`.
    pub(super) request_size: u64,
    /// Bytes of all requests that tiny_http has returned, as far as known, and of the bodies read since.
    pub accounted: u64,
    /// When its last request was answered, or else when it was created.
    pub idle_since: Instant,
    /// When the reaper first saw bytes of a request that is not complete yet.
    pub first_byte: Option<Instant>,
    /// When the request that is being served must be complete.
    pub deadline: Instant,
    /// The body that is being read.
    pub body: Option<Body>,
    /// No further request is served.
    pub ended: bool,
    pub end: End,
    /// Requests that came while another one was being served.
    pub(super) pipelined: VecDeque<Request>,
    /// Requests of this connection or of the next one that has its address, kept until the reaper has found out which;
    /// each with the time when it came.
    pub(super) unattributed: VecDeque<(Request, Instant)>,
    /// A socket from which too many unattributed requests came, and which was closed for that.
    pub(super) flooding: Option<SocketId>,
}

/// How a connection ended, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not, or nothing more is to be done.
    Usual,
    /// Its request was refused before the body was read; what the client still sends is discarded.
    Refused,
    /// The client has reset it: later requests with its address came on another connection.
    Reset,
}

/// A body that is being read.
pub struct Body {
    pub since: Instant,
    /// Bytes of memory reserved for it.
    pub(super) reserved: usize,
    pub cut: Option<Cut>,
}

/// Why the reading of a body was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its deadline passed.
    Late,
    /// Other requests needed its memory or its connection.
    Evicted,
}

impl Connection {
    pub fn new(address: SocketAddr, now: Instant) -> Self {
        Self {
            id: ConnectionId { address, serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed) },
            socket: None,
            is_shared: false,
            created: now,
            running: false,
            started: 0,
            started_at_scan: 0,
            checked_at_scan: 0,
            request_size: 0,
            accounted: 0,
            idle_since: now,
            first_byte: None,
            deadline: now,
            body: None,
            ended: false,
            end: End::Usual,
            pipelined: VecDeque::new(),
            unattributed: VecDeque::new(),
            flooding: None,
        }
    }

    /// Whether a socket with the same peer address may be this connection's. One that took the address over after a
    /// reset has received fewer bytes.
    pub(super) fn may_have(&self, socket: SocketId) -> bool {
        // nothing is known of a descriptor that was closed meanwhile
        socket.read().is_none_or(|read| read + SIZE_ERROR >= self.accounted)
    }

    /// Records its socket. All requests so far are its own.
    pub(super) fn set_socket(&mut self, socket: SocketId) {
        self.socket = Some(socket);
        self.started_at_scan = self.started;
    }

    /// Records that a request of it is being served from now on.
    pub(super) fn start(&mut self, request: Request, now: Instant, request_timeout: Duration) -> ReadyRequest {
        self.request_size = size(&request);
        self.running = true;
        self.started += 1;
        self.deadline = self.first_byte.take().unwrap_or(now) + request_timeout;
        ReadyRequest { request, connection: Some(self.id) }
    }

    /// Whether it has no request, so that it can be forgotten when its socket is closed.
    pub fn is_done(&self) -> bool {
        !self.running && self.unattributed.is_empty()
    }

    /// Whether no request that comes from its address can be its own.
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.is_done() && self.end == End::Reset
    }
}

/// Bytes of a request on the wire, without a body that is still to be read.
pub(super) fn size(request: &Request) -> u64 {
    size_with_body(Head::of(request))
}
