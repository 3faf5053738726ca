//! An HTTP server for one listening socket, on tiny_http 0.12. The rest of `http` uses the names that are exported here
//! and knows nothing of tiny_http.
//!
//! The way of a request: an `acceptor`, which is one server of tiny_http's, accepts its connection from a `listener`.
//! One of the `workers` receives it, makes it an `exchange` and calls the handler with a `Responder`. The handler
//! checks its framing (`request`), reads its body, and replies at once or later. The `response` is written by the
//! thread that has it, by the reply thread, or by a thread of a `thread_pool` where the client may have to be waited
//! for. `life_cycle` starts and ends the acceptors and their workers.
//!
//! `connections`, `sockets` and the `reaper` make up for what tiny_http lacks. Its faults, and where each is cured:
//!
//! * Its accepting thread dies of an error of `accept` (no descriptor left, a connection aborted) or of a panic (no
//!   thread left), silently and for good: `acceptor`, `reaper::accepting`. It accepts only from a blocking socket:
//!   `listener::bind`.
//! * Its end connects to the listening socket and removes the path of a Unix socket, and it has no way to stop
//!   accepting: `acceptor`, `listener::socket`.
//! * In a burst of connections some get no thread until others are closed: `reaper::threads`.
//! * It has no limit and no timeout for connections, heads, bodies and replies: `reaper::verdict`, `reaper::eviction`,
//!   `connections::bodies`, `response::write`.
//! * It reads pipelined requests as fast as they come, and keeps them: `connections`, `reaper::judging`.
//! * A reply waits for the replies to earlier requests of its connection, and blocks its thread: `connections`; on a
//!   Unix socket `exchange::reply`.
//! * A request is returned with the client's address and nothing else of its connection: `connections::attribution`,
//!   `reaper::shared_addresses`.
//! * It neither closes a connection when asked to, nor says that it does: `connections::closing`,
//!   `response::serializer`.
//! * Dropping a request whose body is unread waits for the body, and allocates as much memory as `Content-Length` says,
//!   which may abort the process: `connections::lingering`, `response::disposal`. Nothing can be written before:
//!   `response::write`.
//! * It accepts heads of any size, ambiguous lengths and control characters: `request::framing`.
//! * A body that is cut short looks complete, trailers are an error, and with `Connection: upgrade` the body is not
//!   decoded: `exchange::decoder`, `request::decoded_chunks`, `request::chunks`.
//! * A line end behind a body is parsed as a request: `connections::line_ends`.
//! * It does not flush a stream: `exchange::stream`. It does not set `TCP_NODELAY`: `listener::socket`.
//! * A request of HTTP/2 or later, and one that is too long to drop, leave a thread behind for ever: they are counted,
//!   and the daemon restarts before there are too many (`reaper::threads`).

mod listener;

mod acceptor;
mod life_cycle;
mod workers;

mod exchange;
mod request;
mod responder;
mod response;
mod thread_pool;

mod connections;
mod reaper;
mod sockets;

use std::io;
use std::time::Instant;

pub use self::exchange::{Exchange, Stream};
pub use self::life_cycle::Server;
pub use self::listener::bind::{BindError, check, listen};
pub use self::listener::socket::{Listener, Reach};
pub use self::request::framing::SMALL_BODY;
#[cfg(test)]
pub use self::request::head::testing::TestHead;
pub use self::request::{Head, Target};
pub use self::responder::Responder;

use self::connections::Connections;
use self::listener::limits::possible_connections;
use self::listener::probe::{is_unreachable, probe};
use self::reaper::Reaper;
use self::responder::Writers;
use self::responder::reply_writer::{ReplyWriter, write_all};
use self::sockets::Sockets;
use self::thread_pool::ThreadPool;
use self::workers::{Handler, Service};
use crate::config::Http;
use crate::memory::Memory;
use crate::thread::Watch;

/// The name of the thread that writes replies instead of threads that must not wait.
pub const REPLY_THREAD: &str = "reply";
/// The name of the thread that watches the connections.
const REAPER: &str = "reaper";
/// The names of the threads that wait for bodies, that write replies where the client may have to be waited for, and
/// that write streams.
const BODY: &str = "body";
const WRITER: &str = "write";
const STREAM: &str = "stream";
/// The most replies that wait for a thread that writes. The reaper closes the connections of clients that do not read.
const MAX_UNWRITTEN: usize = 100_000;

impl Server {
    /// Serves the socket from now on. Several threads at a time call the handler with a request each. Bodies and
    /// replies take from `memory`.
    ///
    /// # Errors
    /// If there is no thread or no descriptor left.
    pub fn start(listener: Listener, http: &Http, memory: Memory, watch: &Watch, handler: Handler) -> io::Result<Self> {
        let pool = |name, threads, max_waiting| ThreadPool::new(name, watch.clone(), threads, max_waiting);
        let sockets = Sockets::new(listener.cookie, listener.address.clone())?;
        let waiting = pool(WRITER, http.max_connections + http.max_listeners, MAX_UNWRITTEN);
        let connections = Connections::new(sockets, waiting, http, memory);
        let (replies, queue) = ReplyWriter::new();
        // a listener gives its place up a moment before its thread is free
        let streams = pool(STREAM, http.max_listeners, http.max_listeners);
        let writers = Writers { replies, streams };
        let service = Service { handler, bodies: pool(BODY, 2 * http.max_connections, 0), writers };
        let server = Self::new(listener, connections, service, watch.clone(), http.workers);
        watch.spawn(REPLY_THREAD, move || {
            write_all(&queue);
            Ok(())
        })?;
        server.accept()?;
        let limits = Http { max_connections: possible_connections(http.max_connections), ..http.clone() };
        let mut reaper = Reaper::new(server.clone(), limits);
        watch.spawn(REAPER, move || {
            reaper.run();
            Ok(())
        })?;
        Ok(server)
    }

    /// Tests whether a request is answered that comes as all others do.
    ///
    /// # Errors
    /// If it is not answered with success by the deadline.
    pub fn probe(&self, deadline: Instant) -> io::Result<()> {
        match probe(&self.listener().address, deadline) {
            // nothing is known then of requests of others
            Err(error) if is_unreachable(&error) && self.is_accepting() => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests;
