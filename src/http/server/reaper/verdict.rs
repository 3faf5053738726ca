//! What is to be done about one connection.

use std::time::{Duration, Instant};

use super::tracked::Tracked;
use crate::config::Http;
use crate::http::reply::Reply;
use crate::http::server::connections::{Connection, Cut};
use crate::http::server::request::framing::head_too_large;

/// Bytes of requests that tiny_http may have read from a connection and not returned: it reads pipelined requests as
/// fast as they come, and each takes thirty times its length of memory.
const MAX_BACKLOG: u64 = 64 * 1024;
/// How long a connection may wait for a thread of tiny_http's before it is refused.
const MAX_WITHOUT_THREAD: Duration = Duration::from_secs(2);
/// How many bytes of replies a client on a Unix socket may leave untaken where there are many requests, and for how
/// long.
const MAX_UNSENT: u64 = 64 * 1024;
const MAX_UNSENT_TIME: Duration = Duration::from_millis(100);

/// What is to be done about a connection.
pub enum Verdict {
    Leave,
    /// Its body is cut short.
    Cut,
    /// A thread of tiny_http's is to be woken for it.
    WakeThread,
    /// It is closed, perhaps after a last reply.
    Close(Option<Reply>),
}

impl Tracked {
    /// Judges a connection on a Unix socket, of whose requests nothing is known.
    pub fn judge_unix(&mut self, is_crowded: bool, now: Instant) -> Verdict {
        if self.socket.is_hung_up() {
            self.ended.get_or_insert(now);
            return Verdict::Leave;
        }
        let (unread, unsent) = (self.socket.unread(), self.socket.unsent());
        let (is_unread, is_unsent) = (unread > 0 && unread == self.unread, unsent > 0 && unsent == self.unsent);
        (self.unread, self.unsent) = (unread, unsent);
        let time = |since: &mut Option<Instant>, is_same| {
            *since = since.filter(|_| is_same).or(is_same.then_some(now));
            since.map_or(Duration::ZERO, |since| now - since)
        };
        let (unread_for, unsent_for) =
            (time(&mut self.unread_since, is_unread), time(&mut self.unsent_since, is_unsent));
        if unsent > MAX_UNSENT && is_crowded && unsent_for > MAX_UNSENT_TIME {
            Verdict::Close(None)
        } else if is_unread && unread_for < MAX_WITHOUT_THREAD {
            Verdict::WakeThread
        } else {
            Verdict::Leave
        }
    }

    pub fn judge(&mut self, connection: &mut Connection, limits: &Http, now: Instant) -> Verdict {
        self.measure_backlog(connection);
        if self.backlog > MAX_BACKLOG && (connection.running || !connection.ended) && self.socket.is_open() {
            // a request that is still being served on an ended connection gets its reply
            return if connection.ended { Verdict::Cut } else { Verdict::Close(None) };
        }
        if connection.running {
            return match &mut connection.body {
                Some(body) if now > connection.deadline && body.cut.is_none() => {
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
        let verdict = self.judge_waiting(connection, received, limits, now);
        // if its descriptor was closed, the measurement may be another socket's
        if self.socket.is_open() { verdict } else { Verdict::Leave }
    }

    /// Judges a connection that waits for its next request or for the rest of one.
    fn judge_waiting(&mut self, connection: &mut Connection, received: u64, limits: &Http, now: Instant) -> Verdict {
        if self.started != connection.started {
            self.measure_started(connection);
            return Verdict::Leave;
        }
        if received <= self.received_before {
            connection.first_byte = None;
            let is_late = now > connection.idle_since + limits.idle_timeout;
            return if is_late { Verdict::Close(None) } else { Verdict::Leave };
        }
        let read = self.read();
        let waited = now - *connection.first_byte.get_or_insert(now);
        // nothing was read; the client's end of stream may count as one byte
        if read <= 1 {
            let is_late = waited > MAX_WITHOUT_THREAD;
            return if is_late { Verdict::Close(Some(Reply::busy())) } else { Verdict::WakeThread };
        }
        // only what was read counts: the rest may be several requests, or a long body
        if read.saturating_sub(self.read_before) > MAX_BACKLOG {
            return Verdict::Close(Some(head_too_large()));
        }
        if waited > limits.request_timeout {
            return Verdict::Close(Some(Reply::request_timeout()));
        }
        Verdict::Leave
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::config::{Config, Environment, Source};
    use crate::http::server::sockets::{Peer, SocketId};

    #[test]
    fn a_request_that_comes_between_measuring_and_judging_is_not_taken_for_an_unfinished_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, address) = listener.accept().unwrap();
        let socket = SocketId::at(server.as_raw_fd()).unwrap();
        let start = Instant::now();
        let mut tracked = Tracked::new(Peer::Client(address), None, socket, 1, start);
        let mut connection = Connection::new(address, start);
        let config = "[http]\nidle-timeout = 60\nrequest-timeout = 2";
        let limits = Config::parse(config, &Source::BuiltIn, &Environment::from([])).unwrap().http;
        for started in 1..=3 {
            // a request comes after the measurement, and is answered before the judgement
            tracked.measure();
            client.write_all(&[b'x'; 100]).unwrap();
            server.read_exact(&mut [0; 100]).unwrap();
            (connection.started, connection.accounted) = (started, 100 * started);
            assert!(matches!(tracked.judge(&mut connection, &limits, start), Verdict::Leave));
            tracked.measure();
            for seconds in [1, 10] {
                let later = start + Duration::from_secs(seconds);
                let verdict = tracked.judge(&mut connection, &limits, later);
                assert!(matches!(verdict, Verdict::Leave), "after request {started} and {seconds} s");
            }
        }
        // an unfinished one is recognized
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        tracked.measure();
        assert!(matches!(tracked.judge(&mut connection, &limits, start), Verdict::Leave));
        let later = start + Duration::from_secs(3);
        let verdict = tracked.judge(&mut connection, &limits, later);
        assert!(matches!(verdict, Verdict::Close(Some(reply)) if reply.status() == 408));
    }
}
