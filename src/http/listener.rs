//! The socket, and the workers that take requests from it.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io};

use socket2::SockRef;
use thiserror::Error;
use tiny_http::Server;

use super::Endpoints;
use super::replies::Replies;
use super::turns::Turns;
use crate::config::Config;
use crate::mqtt::Publisher;
use crate::thread::Watch;

/// What the names of the workers' threads start with.
pub const WORKERS: &str = "http-";
/// The name of the thread that writes answers.
pub const REPLY_THREAD: &str = "reply";
/// How long a client may let its answer stand in the way of others'.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// A bound socket with its server.
pub struct Listener {
    server: Arc<Server>,
    /// The same socket as the server's, kept to stop it from accepting.
    socket: TcpListener,
    address: SocketAddr,
    workers: usize,
    turns: Arc<Turns>,
    replies: Replies,
    stage: Arc<Stage>,
}

/// How far a stop has come.
#[derive(Default)]
struct Stage {
    /// No connection is accepted any more.
    deaf: AtomicBool,
    /// The workers end.
    ending: AtomicBool,
}

/// The address could not be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

impl Listener {
    /// Binds the address: from here on connections are accepted, and wait for workers.
    ///
    /// # Errors
    /// If the address is taken or not ours.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let listen = config.http.listen;
        let failed = |error| BindError { address: listen, error };
        let socket = TcpListener::bind(listen).map_err(failed)?;
        // accepted sockets inherit both
        SockRef::from(&socket).set_write_timeout(Some(SEND_TIMEOUT)).map_err(failed)?;
        SockRef::from(&socket).set_tcp_nodelay(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let server = Server::from_listener(socket.try_clone().map_err(failed)?, None)
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        let server = Arc::new(server);
        let (turns, replies, stage) = (Turns::new(server.clone()), Replies::default(), Arc::default());
        Ok(Self { server, socket, address, workers: config.http.workers, turns, replies, stage })
    }

    /// The bound address, with the port that the system chose for 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many workers [`Self::serve`] starts.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Starts the workers, and the thread that writes answers.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn serve(&self, config: &Config, publisher: &Publisher, watch: &Watch) -> io::Result<()> {
        let replies = self.replies.clone();
        watch.spawn(REPLY_THREAD, move || {
            replies.run();
            Ok(())
        })?;
        for number in 1..=self.workers {
            let worker = Worker {
                turns: self.turns.clone(),
                endpoints: Endpoints::new(config, publisher.clone(), self.replies.clone()),
                stage: self.stage.clone(),
            };
            watch.spawn(&format!("{WORKERS}{number}"), move || worker.run())?;
        }
        Ok(())
    }

    /// Takes no further connections; those that are there are still served.
    pub fn stop_accepting(&self) {
        self.stage.deaf.store(true, Ordering::SeqCst);
        if let Err(error) = SockRef::from(&self.socket).shutdown(Shutdown::Read) {
            log::warn!("cannot stop listening on {}: {error}", self.address);
        }
    }

    /// Waits until every request that came is answered, or the deadline has come.
    pub fn await_idle(&self, deadline: Instant) {
        self.turns.await_idle(deadline);
    }

    /// Lets each worker end after the requests that are already there, and the answers' thread after them.
    pub fn end(&self) {
        self.stage.ending.store(true, Ordering::SeqCst);
        // one token each; they lie behind the requests that came before
        for _ in 0..self.workers {
            self.server.unblock();
        }
    }

    /// Lets the thread that writes answers end when all are written.
    pub fn end_replies(&self) {
        self.replies.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// One thread that reads and checks requests, one after another, and waits for nobody.
struct Worker {
    turns: Arc<Turns>,
    endpoints: Endpoints,
    stage: Arc<Stage>,
}

impl Worker {
    /// Returns when the workers are to end; the end of accepting is an error unless it was asked for.
    fn run(&self) -> Result<(), String> {
        loop {
            match self.turns.next() {
                Ok(Some(exchange)) => self.endpoints.answer(exchange),
                Ok(None) => {}
                Err(_) if self.stage.ending.load(Ordering::SeqCst) => return Ok(()),
                // what was pipelined became ready, or the socket was shut by us
                Err(error) if error.raw_os_error().is_none() || self.stage.deaf.load(Ordering::SeqCst) => {}
                Err(error) => return Err(format!("no further connection can be accepted: {error}")),
            }
        }
    }
}
