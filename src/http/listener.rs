//! The socket, and the workers that take requests from it.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use socket2::SockRef;
use thiserror::Error;
use tiny_http::{Request, Server};

use super::Endpoints;
use crate::config::Http;
use crate::mqtt::Publisher;
use crate::thread::Watch;

/// What the names of the workers' threads start with.
pub const THREAD: &str = "http-";

/// A bound socket with its server.
pub struct Listener {
    server: Arc<Server>,
    /// The same socket as the server's, kept to stop it from accepting.
    socket: TcpListener,
    address: SocketAddr,
    workers: usize,
    stopping: Arc<AtomicBool>,
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
    pub fn bind(http: &Http) -> Result<Self, BindError> {
        let failed = |error| BindError { address: http.listen, error };
        let socket = TcpListener::bind(http.listen).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let server = Server::from_listener(socket.try_clone().map_err(failed)?, None)
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        let stopping = Arc::new(AtomicBool::new(false));
        Ok(Self { server: Arc::new(server), socket, address, workers: http.workers, stopping })
    }

    /// The bound address, with the port that the system chose for 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many threads [`Self::serve`] starts.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn serve(&self, http: &Http, publisher: &Publisher, watch: &Watch) -> io::Result<()> {
        for number in 1..=self.workers {
            let worker = Worker {
                server: self.server.clone(),
                endpoints: Endpoints { publisher: publisher.clone(), max_body: http.max_body },
                stopping: self.stopping.clone(),
            };
            watch.spawn(&format!("{THREAD}{number}"), move || worker.run())?;
        }
        Ok(())
    }

    /// Takes no further connections, and lets each worker end after the requests that are already there.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Err(error) = SockRef::from(&self.socket).shutdown(Shutdown::Read) {
            log::warn!("cannot stop listening on {}: {error}", self.address);
        }
        // one token each; they lie behind the requests that came before
        for _ in 0..self.workers {
            self.server.unblock();
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// One thread that answers requests, one after another.
struct Worker {
    server: Arc<Server>,
    endpoints: Endpoints,
    stopping: Arc<AtomicBool>,
}

impl Worker {
    /// Returns when the daemon is to stop; the end of accepting is an error unless it was asked for.
    fn run(&self) -> Result<(), String> {
        loop {
            match self.server.recv() {
                Ok(request) => self.serve(request),
                Err(_) if self.stopping.load(Ordering::SeqCst) => return Ok(()),
                Err(error) => return Err(format!("no further connection can be accepted: {error}")),
            }
        }
    }

    fn serve(&self, mut request: Request) {
        let reply = self.endpoints.answer(&mut request);
        // a client that went away has no use for its answer
        if let Err(error) = request.respond(reply.into_response()) {
            log::debug!("an answer could not be written: {error}");
        }
    }
}
