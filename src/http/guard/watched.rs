//! What the guard knows of one socket, and what it makes of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Limits;
use crate::http::connections::{Connection, Cut};
use crate::http::descriptors;
use crate::http::generation::Generation;
use crate::http::reply::Reply;
use crate::http::request::{MAX_HEAD, READ_AHEAD, SMALL_BODY};
use crate::http::sockets::{Place, Whose, is_there};

/// Bytes of requests that the library may have taken from a connection and not handed on: it takes what is pipelined as
/// fast as it comes, and each request costs thirty times its length in memory.
const MAX_BACKLOG: u64 = 64 * 1024;
/// How long a connection may wait for a thread of the library's before it is refused.
const MAX_STARVING: Duration = Duration::from_secs(2);

/// One socket of ours.
pub struct Watched {
    /// `None` on a Unix socket.
    pub client: Option<SocketAddr>,
    /// By which it came.
    pub generation: Option<Arc<Generation>>,
    pub place: Place,
    pub round: u64,
    pub since: Instant,
    /// Bytes that came in; `None` where that could not be told.
    received: Option<u64>,
    /// The turn that the next two belong to.
    turn: u64,
    /// Bytes that had come in when that turn was over.
    received_before: u64,
    /// Those of them that the library had taken.
    read_before: u64,
    /// Bytes that the library had taken and not handed on when nothing of the connection was with us.
    slack: u64,
    /// Bytes that it has taken since and not handed on.
    pub backlog: u64,
    /// Bytes that came in and that the library has not taken.
    unread: u64,
    pub ended: Option<Instant>,
}

/// What is to be done about a connection.
pub enum Verdict {
    Leave,
    /// Its body has had its time.
    Cut,
    /// It has no thread.
    Help,
    End(Option<Reply>),
    /// It may go if there are too many.
    Idle,
}

impl Watched {
    pub fn new(whose: Whose, generation: Option<Arc<Generation>>, place: Place, round: u64, since: Instant) -> Self {
        let client = if let Whose::Client(client) = whose { Some(client) } else { None };
        Self {
            client,
            generation,
            place,
            round,
            since,
            received: None,
            turn: 0,
            received_before: 0,
            read_before: 0,
            slack: 0,
            backlog: 0,
            unread: 0,
            // what the library makes of it is all that there is to see
            ended: (whose == Whose::Gone).then_some(since),
        }
    }

    pub fn measure(&mut self) {
        if self.client.is_none() {
            return;
        }
        let received = descriptors::received(self.place.number);
        if received != self.received || self.unread > 0 {
            (self.received, self.unread) = (received, descriptors::unread(self.place.number));
        }
    }

    /// Whether the same bytes lie unread as at the last look: on a Unix socket nothing else can be told.
    pub fn stands_still(&mut self) -> bool {
        let before = self.unread;
        self.unread = descriptors::unread(self.place.number);
        self.unread > 0 && self.unread == before
    }

    /// Bytes that the library has taken from the connection.
    fn read(&self) -> u64 {
        self.received.unwrap_or_default().saturating_sub(self.unread)
    }

    /// Finds out how much the library has taken and not handed on: requests that nobody has seen yet.
    fn book(&mut self, connection: &Connection) {
        if !connection.running && self.unread == 0 {
            self.slack = self.read().saturating_sub(connection.booked);
        }
        // of a body the reader keeps the books, and of what is refused nobody
        let is_booked = connection.body.is_none() && !connection.ended;
        self.backlog = if is_booked { self.read().saturating_sub(connection.booked + self.slack) } else { 0 };
    }

    pub fn judge(&mut self, connection: &mut Connection, limits: &Limits, now: Instant) -> Verdict {
        self.book(connection);
        if self.backlog > MAX_BACKLOG && !connection.ended && is_there(self.place) {
            return Verdict::End(None);
        }
        if connection.running {
            return match &mut connection.body {
                Some(body) if now > body.deadline && body.cut.is_none() => {
                    body.cut = Some(Cut::Late);
                    Verdict::Cut
                }
                _ => Verdict::Leave,
            };
        }
        if connection.ended {
            self.ended.get_or_insert(now);
            return Verdict::Leave;
        }
        let Some(received) = self.received else { return Verdict::Leave };
        let verdict = self.judge_quiet(connection, received, limits, now);
        // a number that was closed and given to another since may have told of that one
        if is_there(self.place) { verdict } else { Verdict::Leave }
    }

    /// A connection none of whose requests is with us.
    fn judge_quiet(&mut self, connection: &mut Connection, received: u64, limits: &Limits, now: Instant) -> Verdict {
        let is_new_turn = self.turn != connection.turns;
        if !is_new_turn && received <= self.received_before {
            connection.first_byte = None;
            return if now > connection.quiet_since + limits.idle_timeout { Verdict::End(None) } else { Verdict::Idle };
        }
        let read = self.read();
        if is_new_turn {
            (self.turn, self.received_before, self.read_before) = (connection.turns, received, read);
            return Verdict::Leave;
        }
        let waited = now - *connection.first_byte.get_or_insert(now);
        // nothing of it was ever read; its end may count as a byte
        if read <= 1 {
            return if waited > MAX_STARVING { Verdict::End(Some(Reply::busy())) } else { Verdict::Help };
        }
        // a body of any length may lie there unread while its request is on its way to us
        if read.saturating_sub(self.read_before) > MAX_HEAD + SMALL_BODY + READ_AHEAD {
            return Verdict::End(Some(Reply::head_too_large()));
        }
        if waited > limits.request_timeout {
            return Verdict::End(Some(Reply::request_timeout()));
        }
        Verdict::Leave
    }
}
