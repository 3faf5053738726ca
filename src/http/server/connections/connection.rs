//! What is known of one connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::attribution::{Doubtful, next_id};
use super::bodies::Body;
use super::size;
use crate::http::server::sockets::Place;
use crate::http::server::sockets::descriptors;

/// Bytes by which the size of requests may be overestimated: a header needs no space before its value.
pub(super) const MISCOUNTED: u64 = 16;

/// What is known of one connection.
pub struct Connection {
    pub(super) id: u64,
    /// Where its socket is to be found; the reaper tells.
    pub place: Option<Place>,
    /// Another one with its address is there at the same time, to another address of ours: a request does not tell which
    /// of them it is of, so that they are taken for one.
    pub is_shared: bool,
    pub created: Instant,
    /// A request of it is with us.
    pub running: bool,
    /// How many requests it had.
    pub turns: u64,
    /// How many of them when the reaper last looked.
    pub(super) seen: u64,
    /// How often the reaper had looked when a request last found the connection where it was.
    pub(super) found: u64,
    /// Bytes of the request that is with us, as far as they are in the books.
    pub(super) size: u64,
    /// Bytes of all requests that tiny_http handed on, as far as they can be told, and of the bodies read since.
    pub booked: u64,
    /// When its last request was answered, or it began.
    pub quiet_since: Instant,
    /// When the reaper first saw bytes of a request that is not yet complete.
    pub first_byte: Option<Instant>,
    /// When the last byte of the request that is with us must have come.
    pub(super) due: Instant,
    /// The body that is being read.
    pub body: Option<Body>,
    /// Nothing more is taken from it.
    pub ended: bool,
    /// How it ended.
    pub end: End,
    pub(super) followers: VecDeque<Request>,
    /// Requests that came when it was reset already.
    pub(super) doubtful: VecDeque<Doubtful>,
    /// The connection that sent too many of them, and is ended.
    pub(super) flooded: Option<Place>,
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

impl Connection {
    pub fn new(now: Instant) -> Self {
        Self {
            id: next_id(),
            place: None,
            is_shared: false,
            created: now,
            running: false,
            turns: 0,
            seen: 0,
            found: 0,
            size: 0,
            booked: 0,
            quiet_since: now,
            first_byte: None,
            due: now,
            body: None,
            ended: false,
            end: End::Usual,
            followers: VecDeque::new(),
            doubtful: VecDeque::new(),
            flooded: None,
        }
    }

    /// Whether a connection from the same address may be this one. One that has just taken it over, because this one was
    /// reset, has not sent as much.
    pub fn may_be_at(&self, place: Place) -> bool {
        // nothing is told of a number that was closed meanwhile
        descriptors::read(place.number).is_none_or(|read| read + MISCOUNTED >= self.booked)
    }

    pub(super) fn start(&mut self, request: &Request, now: Instant, request_timeout: Duration) {
        self.size = size(request);
        self.running = true;
        self.turns += 1;
        self.due = self.first_byte.take().unwrap_or(now) + request_timeout;
    }
}
