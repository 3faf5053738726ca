//! One tiny_http server on the listening socket. Its accepting thread may die; then another acceptor takes over, and
//! this one goes on serving the connections that it has.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use tiny_http::Server;

use super::connections::{ConnectionId, Connections, ReadyRequest};
use super::listener::socket::Listener;
use super::sockets::SocketId;

/// One tiny_http server, and the requests that it returns.
pub struct Acceptor {
    /// Never dropped: that would connect to the socket, from which the next acceptor accepts, and remove the path of a
    /// Unix socket.
    server: ManuallyDrop<Server>,
    /// The accepting thread's descriptor of the listening socket, closed when that thread dies.
    pub accepting: SocketId,
    /// Held from tiny_http's queue to `connections`, and while a quick request is served: two requests of one
    /// connection must not overtake each other.
    receiving: Mutex<()>,
    /// Requests that were kept until an earlier one of their connection was answered, and are to be served now.
    ready: Mutex<VecDeque<ReadyRequest>>,
    pub connections: Arc<Connections>,
    /// Workers that have not ended; changed under the lock of the server's state.
    pub workers: AtomicUsize,
    ending: AtomicBool,
}

/// The right to receive requests, which one worker has at a time. Dropping it wakes the next one.
pub type Receiving<'a> = MutexGuard<'a, ()>;

impl Acceptor {
    /// Lets tiny_http accept connections from the socket from now on. Fails if there is no descriptor or no thread
    /// left.
    pub fn start(listener: &Listener, connections: Arc<Connections>) -> io::Result<Arc<Self>> {
        require_threads()?;
        let (accepting, socket) = listener.for_tiny_http()?;
        // it panics where there is no thread. A panic in a thread without a name is not logged
        let starting =
            thread::Builder::new().spawn(|| Server::from_listener(socket, None)).map_err(|error| no_thread(&error))?;
        let server = starting
            .join()
            .map_err(|_| io::Error::other("tiny_http cannot start a thread"))?
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Arc::new(Self {
            server: ManuallyDrop::new(server),
            accepting,
            receiving: Mutex::default(),
            ready: Mutex::default(),
            connections,
            workers: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
        }))
    }

    /// Waits until no other worker receives.
    pub fn receive(&self) -> Receiving<'_> {
        self.receiving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next request that is to be served. Returns `None` if the worker is to end.
    pub fn next(&self, _receiving: &Receiving<'_>) -> Option<ReadyRequest> {
        loop {
            self.connections.await_room();
            if let Some(request) = self.ready().pop_front() {
                return Some(request);
            }
            match self.server.recv().map(|request| self.connections.register(request)) {
                Ok(Some(request)) => return Some(request),
                // unblocked, or else accept failed: the reaper finds the accepting thread dead
                Err(error) if error.raw_os_error().is_none() && self.is_ending() && self.ready().is_empty() => {
                    return None;
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Counts a request as answered, and has the next one of its connection served.
    pub fn finish(&self, id: Option<ConnectionId>) {
        self.connections.count_answered();
        self.serve_next(id);
    }

    /// Has the next request of a connection served, if there is one.
    pub fn serve_next(&self, id: Option<ConnectionId>) {
        if let Some(next) = self.connections.next_request(id) {
            self.serve(next);
        }
    }

    /// Has a request served by the next worker that is free.
    pub fn serve(&self, request: ReadyRequest) {
        self.ready().push_back(request);
        // a worker may be waiting for requests in tiny_http
        self.server.unblock();
    }

    /// Lets the workers end after the requests that are already there.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        // tiny_http queues one token for each call, behind the requests that came before
        for _ in 0..self.workers() {
            self.server.unblock();
        }
    }

    pub fn workers(&self) -> usize {
        self.workers.load(Ordering::SeqCst)
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<ReadyRequest>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many threads tiny_http starts with: the accepting one, and four that wait for connections.
const FIRST_THREADS: usize = 5;

/// Checks whether tiny_http's first threads can be started: without them its accepting thread would die at once.
fn require_threads() -> io::Result<()> {
    let started: Vec<_> = (0..=FIRST_THREADS).map(|_| thread::Builder::new().spawn(thread::park)).collect();
    let end = |thread: JoinHandle<()>| {
        thread.thread().unpark();
        drop(thread.join());
    };
    // all that were started, whether the others were or not
    let ended: Vec<io::Result<()>> = started.into_iter().map(|started| started.map(end)).collect();
    ended.into_iter().collect::<io::Result<()>>().map_err(|error| no_thread(&error))
}

fn no_thread(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("no thread for tiny_http: {error}"))
}
