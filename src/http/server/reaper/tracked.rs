//! What the reaper knows of one socket, and what it makes of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::reply::Reply;
use crate::http::server::acceptor::Acceptor;
use crate::http::server::connections::{Connection, Cut, End};
use crate::http::server::limits::Limits;
use crate::http::server::request::framing::head_too_large;
use crate::http::server::sockets::descriptors;
use crate::http::server::sockets::{Place, Whose, is_there};

/// Bytes of requests that tiny_http may have taken from a connection and not handed on: it takes what is pipelined as
/// fast as it comes, and each request costs thirty times its length in memory.
const MAX_BACKLOG: u64 = 64 * 1024;
/// How long a connection may wait for a thread of tiny_http's before it is refused.
const MAX_STARVING: Duration = Duration::from_secs(2);
/// How long until a connection that still waits for a thread is helped again: each time is one more connection to accept.
pub const HELP_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of answers that a client on a Unix socket may leave untaken, where there are many requests, and for how long.
const MAX_UNSENT: u64 = 64 * 1024;
const MAX_UNSENT_TIME: Duration = Duration::from_millis(100);

/// One socket of ours.
pub struct Watched {
    /// `None` on a Unix socket.
    pub client: Option<SocketAddr>,
    /// By which it came.
    pub acceptor: Option<Arc<Acceptor>>,
    pub place: Place,
    pub round: u64,
    /// Bytes that came in; `None` where that could not be told.
    received: Option<u64>,
    /// The turn that the next two belong to.
    turn: u64,
    /// Bytes that had come in when that turn was over.
    received_before: u64,
    /// Those of them that tiny_http had taken.
    read_before: u64,
    /// Bytes that tiny_http had taken and not handed on when nothing of the connection was with us.
    slack: u64,
    /// Bytes that it has taken since and not handed on.
    pub backlog: u64,
    /// Bytes that came in and that tiny_http has not taken.
    unread: u64,
    /// Bytes that came in beyond those that requests account for, when the turn before was over.
    surplus: u64,
    /// How many more they were at the end of that turn: white space that nobody counts is the same each time.
    usual: Option<u64>,
    /// tiny_http has read from it: it has a thread.
    was_read: bool,
    /// When it was last helped to a thread.
    helped: Option<Instant>,
    /// On a Unix socket: since when the same bytes have lain there unread.
    still: Option<Instant>,
    /// On a Unix socket: bytes that its client has not taken, and since when they have been the same.
    unsent: u64,
    full: Option<Instant>,
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
}

impl Watched {
    pub fn new(whose: Whose, acceptor: Option<Arc<Acceptor>>, place: Place, round: u64, since: Instant) -> Self {
        let client = if let Whose::Client(client) = whose { Some(client) } else { None };
        Self {
            client,
            acceptor,
            place,
            round,
            received: None,
            turn: 0,
            received_before: 0,
            read_before: 0,
            slack: 0,
            backlog: 0,
            unread: 0,
            surplus: 0,
            usual: None,
            was_read: false,
            helped: None,
            still: None,
            unsent: 0,
            full: None,
            // what tiny_http makes of it is all that there is to see
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
        self.was_read |= self.read() > 1;
    }

    /// Whether a thread of tiny_http's has it or will have it: those of an older acceptor get the next one of
    /// theirs that is free.
    pub fn has_thread(&self, newest: Option<&Arc<Acceptor>>) -> bool {
        let is_newest = || self.acceptor.as_ref().zip(newest).is_some_and(|(ours, newest)| Arc::ptr_eq(ours, newest));
        self.was_read || self.client.is_none() || is_newest()
    }

    /// Whether it may be in the queue of `tiny_http`: nothing of it was read, or that cannot be told.
    pub fn may_lack_thread(&self) -> bool {
        self.ended.is_none() && !(self.was_read && self.client.is_some())
    }

    /// What is to be done about a connection on a Unix socket, of whose requests nothing can be told.
    pub fn judge_unix(&mut self, is_crowded: bool, now: Instant) -> Verdict {
        if descriptors::is_hung_up(self.place.number) {
            // what tiny_http makes of it is all that there is to see
            self.ended.get_or_insert(now);
            return Verdict::Leave;
        }
        let (unread, unsent) = (descriptors::unread(self.place.number), descriptors::unsent(self.place.number));
        let (is_unread, is_unsent) = (unread > 0 && unread == self.unread, unsent > 0 && unsent == self.unsent);
        (self.unread, self.unsent) = (unread, unsent);
        let since = |still: &mut Option<Instant>, is_still| {
            *still = still.filter(|_| is_still).or(is_still.then_some(now));
            still.map_or(Duration::ZERO, |since| now - since)
        };
        let (starving, full) = (since(&mut self.still, is_unread), since(&mut self.full, is_unsent));
        if unsent > MAX_UNSENT && is_crowded && full > MAX_UNSENT_TIME {
            Verdict::End(None)
        } else if is_unread && starving < MAX_STARVING {
            Verdict::Help
        } else {
            Verdict::Leave
        }
    }

    /// Whether it is time to be helped, for the first time or again.
    pub fn is_helped(&mut self, now: Instant) -> bool {
        let is_due = self.helped.is_none_or(|helped| now >= helped + HELP_PAUSE);
        if is_due {
            self.helped = Some(now);
        }
        is_due
    }

    /// Bytes that tiny_http has taken from the connection.
    fn read(&self) -> u64 {
        self.received.unwrap_or_default().saturating_sub(self.unread)
    }

    /// Finds out how much tiny_http has taken and not handed on: requests that nobody has seen yet.
    fn book(&mut self, connection: &Connection) {
        if !connection.running && self.unread == 0 {
            self.slack = self.read().saturating_sub(connection.booked);
        }
        // of a body the reader keeps the books, and of what is refused nobody
        let is_booked = connection.body.is_none() && connection.end != End::Refused;
        self.backlog = if is_booked { self.read().saturating_sub(connection.booked + self.slack) } else { 0 };
    }

    pub fn judge(&mut self, connection: &mut Connection, limits: &Limits, now: Instant) -> Verdict {
        self.book(connection);
        if self.backlog > MAX_BACKLOG && (connection.running || !connection.ended) && is_there(self.place) {
            // what runs on a connection that is over anyway gets its answer
            return if connection.ended { Verdict::Cut } else { Verdict::End(None) };
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

    /// How much of a further request came with those of so many turns, as far as that can be told.
    fn begun(&mut self, surplus: u64, turns: u64) -> u64 {
        let more = surplus.saturating_sub(self.surplus);
        self.surplus = surplus;
        let each = more / turns.max(1);
        let is_white_space = more == each * turns && (turns > 1 || self.usual == Some(each));
        self.usual = Some(each);
        if is_white_space { 0 } else { more }
    }

    /// A connection none of whose requests is with us.
    fn judge_quiet(&mut self, connection: &mut Connection, received: u64, limits: &Limits, now: Instant) -> Verdict {
        let is_new_turn = self.turn != connection.turns;
        if !is_new_turn && received <= self.received_before {
            connection.first_byte = None;
            return if now > connection.quiet_since + limits.idle_timeout {
                Verdict::End(None)
            } else {
                Verdict::Leave
            };
        }
        if is_new_turn {
            // what was measured may be older than the turn
            self.measure();
            let Some(received) = self.received.filter(|_| is_there(self.place)) else { return Verdict::Leave };
            let (read, turns) = (self.read(), connection.turns.saturating_sub(self.turn));
            let begun = self.begun(received.saturating_sub(connection.booked), turns);
            (self.turn, self.received_before, self.read_before) = (connection.turns, received - begun, read);
            return Verdict::Leave;
        }
        let read = self.read();
        let waited = now - *connection.first_byte.get_or_insert(now);
        // nothing of it was ever read; its end may count as a byte
        if read <= 1 {
            return if waited > MAX_STARVING { Verdict::End(Some(Reply::busy())) } else { Verdict::Help };
        }
        // several requests may be on their way to us; a body of any length may lie there unread
        if read.saturating_sub(self.read_before) > MAX_BACKLOG {
            return Verdict::End(Some(head_too_large()));
        }
        if waited > limits.request_timeout {
            return Verdict::End(Some(Reply::request_timeout()));
        }
        Verdict::Leave
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LIMITS: Limits = Limits {
        workers: 1,
        max_connections: 10,
        max_streams: 0,
        max_body: 0,
        idle_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(2),
    };

    #[test]
    fn a_request_that_comes_while_it_is_looked_at_is_none_that_is_unfinished() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, address) = listener.accept().unwrap();
        let number = descriptors::number(&server);
        let place = Place { number, cookie: descriptors::cookie(number).unwrap() };
        let start = Instant::now();
        let mut watched = Watched::new(Whose::Client(address), None, place, 1, start);
        let mut connection = Connection::new(start);
        for turn in 1..=3 {
            // it is measured, and after that a request comes, and has its answer before it is judged
            watched.measure();
            client.write_all(&[b'x'; 100]).unwrap();
            server.read_exact(&mut [0; 100]).unwrap();
            (connection.turns, connection.booked) = (turn, 100 * turn);
            assert!(matches!(watched.judge(&mut connection, &LIMITS, start), Verdict::Leave));
            watched.measure();
            for seconds in [1, 10] {
                let later = start + Duration::from_secs(seconds);
                let verdict = watched.judge(&mut connection, &LIMITS, later);
                assert!(matches!(verdict, Verdict::Leave), "after turn {turn} and {seconds} s");
            }
        }
        // one that does begin is seen
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        watched.measure();
        assert!(matches!(watched.judge(&mut connection, &LIMITS, start), Verdict::Leave));
        let later = start + Duration::from_secs(3);
        let verdict = watched.judge(&mut connection, &LIMITS, later);
        assert!(matches!(verdict, Verdict::End(Some(reply)) if reply.status() == 408));
    }
}
