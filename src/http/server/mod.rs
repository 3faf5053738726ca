//! An HTTP server for one listening socket, on tiny_http, whose faults end here: whoever reads the way of a request knows
//! that a handler gets each request with a `Responder`, and need not enter.
//!
//! A request comes in by a `listener`; an `acceptor`, one server of tiny_http's, takes it; `connections` lets one request
//! of a connection pass at a time; one of the `workers` makes it an `exchange`, checks its `framing`, and calls the handler.
//! `body` is read piece by piece, in `chunks` too; an answer gets its bytes from `wire` and is written by the thread
//! that knows it, by the `reply_writer`, or by a thread of a `thread_pool` where it may wait for the client. The
//! `reaper` watches the connections that tiny_http hides, by their `sockets` and `descriptors`.

mod limits;
mod listener;

mod acceptor;
mod workers;

mod exchange;
mod request;
mod response;
mod thread_pool;

mod connections;
mod reaper;
mod sockets;

use std::sync::Arc;
use std::time::Instant;
use std::{fmt, io};

pub use self::exchange::responder::Responder;
pub use self::exchange::{Exchange, Stream};
pub use self::limits::Limits;
pub use self::listener::socket::{BindError, Listener, Reach, check, listen};
pub use self::request::framing::SMALL_BODY;
pub use self::request::head::Head;
#[cfg(test)]
pub use self::request::head::testing::TestHead;
pub use self::request::target::Target;
pub use self::workers::Handler;

use self::connections::Connections;
use self::exchange::reply_writer::ReplyWriter;
use self::exchange::responder::Writers;
use self::listener::probe;
use self::listener::socket::allow_connections;
use self::reaper::Reaper;
use self::sockets::Sockets;
use self::thread_pool::ThreadPool;
use self::workers::Workers;
use crate::memory::Memory;
use crate::thread::Watch;

/// The name of the thread that writes the answers that others must not.
pub const REPLY_THREAD: &str = "reply";
/// The name of the thread that watches the connections.
const REAPER: &str = "reaper";
/// The names of the threads that wait for bodies, of those that write answers that may wait for a client, and of those
/// that write streams.
const BODY: &str = "body";
const WRITER: &str = "write";
const STREAM: &str = "stream";
/// What unfinished bodies may take together, unless a single one may be longer than half of it. In bytes.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// Answers that may wait for a thread that writes; the reaper ends the connections of clients that do not read.
const MAX_UNWRITTEN: usize = 100_000;

/// A listening socket that is served.
#[derive(Clone)]
pub struct Server(Workers);

impl Server {
    /// Serves the socket from now on: the handler is called with each request, by many threads at a time.
    /// Bodies and answers take from `memory`.
    ///
    /// # Errors
    /// If the system has no thread or no descriptor to give.
    pub fn start(
        listener: Listener,
        limits: &Limits,
        memory: Memory,
        watch: &Watch,
        handler: Handler,
    ) -> io::Result<Self> {
        let pool = |name, threads, max_waiting| ThreadPool::new(name, watch.clone(), threads, max_waiting);
        let sockets = Sockets::new(listener.cookie(), listener.address().clone())?;
        let elsewhere = pool(WRITER, limits.max_connections + limits.max_streams, MAX_UNWRITTEN);
        let max_held = MAX_HELD.max(2 * limits.max_body);
        let connections = Connections::new(sockets, elsewhere, limits.request_timeout, max_held, memory);
        let writers = Writers { replies: ReplyWriter::default(), streams: pool(STREAM, limits.max_streams, 0) };
        let replies = writers.replies.clone();
        let bodies = (pool(BODY, 2 * limits.max_connections, 0), limits.workers);
        let workers = Workers::new(listener, Arc::new(connections), handler, writers, bodies, watch.clone());
        watch.spawn(REPLY_THREAD, move || {
            replies.run();
            Ok(())
        })?;
        workers.accept()?;
        let limits = Limits { max_connections: allow_connections(limits.max_connections), ..*limits };
        let mut reaper = Reaper::new(workers.clone(), limits);
        watch.spawn(REAPER, move || {
            reaper.run();
            Ok(())
        })?;
        Ok(Self(workers))
    }

    /// Has a request answered that comes in as all others do.
    ///
    /// # Errors
    /// If that does not succeed by the deadline.
    pub fn probe(&self, deadline: Instant) -> io::Result<()> {
        match probe::ask(self.0.listener().address(), deadline) {
            // we may be kept from our own socket, or its address may be away: that says nothing about us
            Err(error) if probe::is_out_of_reach(&error) && self.0.is_accepting() => Ok(()),
            asked => asked,
        }
    }

    /// Takes no further connections, and ends each of those that are there with its next answer.
    pub fn stop_accepting(&self) {
        self.0.stop_accepting();
    }

    /// Waits until each connection that was accepted had a request, or the deadline has come.
    pub fn await_first_requests(&self, deadline: Instant) {
        self.0.connections().await_first_requests(deadline);
    }

    /// Waits until every request that came is answered, or the deadline has come. Returns how many are not.
    #[must_use]
    pub fn await_idle(&self, deadline: Instant) -> usize {
        self.0.connections().await_idle(deadline)
    }

    /// Lets each worker end after the requests that are already there, and waits for that up to the deadline.
    pub fn end(&self, deadline: Instant) {
        self.0.end(deadline);
    }

    /// Lets the thread that writes answers end when all are written.
    pub fn end_replies(&self) {
        self.0.end_replies();
    }
}

/// Where requests go, as a URL.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.listener().fmt(f)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}
