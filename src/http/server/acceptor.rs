//! tiny_http's server on the listening socket: its accepting thread may die, and then the next acceptor takes over
//! while this one goes on serving the connections that it has.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use tiny_http::Server;

use super::connections::{Client, Connections, Turn};
use super::listener::socket::Listener;
use super::sockets::descriptors::{self, Cookie};

/// One server, and the requests that come by it.
pub struct Acceptor {
    /// Never dropped: that would connect to the socket, which is the next acceptor's, and remove a Unix socket's path.
    server: ManuallyDrop<Server>,
    /// The accepting thread's descriptor of the listening socket, closed when that thread dies.
    descriptor: RawFd,
    /// Held from tiny_http's queue to our own books, and on over short requests: two of one connection must not overtake
    /// each other.
    receiving: Mutex<()>,
    /// Followers whose turn has come.
    ready: Mutex<VecDeque<Turn>>,
    connections: Arc<Connections>,
    ending: AtomicBool,
}

/// The right to receive requests, which one worker has at a time. Giving it up wakes the next one.
pub struct Receiving<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, ()>);

/// A worker is to end.
pub struct Ended;

impl Acceptor {
    /// Lets tiny_http accept connections from this socket, from now on.
    ///
    /// # Errors
    /// If there is no descriptor or no thread to be had.
    pub fn start(listener: &Listener, connections: Arc<Connections>) -> io::Result<Arc<Self>> {
        require_threads()?;
        let (descriptor, socket) = listener.for_tiny_http()?;
        // it panics where it finds no thread: in one without a name, that is no record
        let starting =
            thread::Builder::new().spawn(|| Server::from_listener(socket, None)).map_err(|error| no_thread(&error))?;
        let server = starting
            .join()
            .map_err(|_| io::Error::other("the HTTP library cannot start a thread"))?
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Arc::new(Self {
            server: ManuallyDrop::new(server),
            descriptor,
            receiving: Mutex::default(),
            ready: Mutex::default(),
            connections,
            ending: AtomicBool::new(false),
        }))
    }

    /// Waits until nobody else receives.
    pub fn receive(&self) -> Receiving<'_> {
        Receiving(self.receiving.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the next request whose turn it is. `None` says to ask again.
    pub fn next(&self, _receiving: &Receiving<'_>) -> Result<Option<Turn>, Ended> {
        if !self.connections.await_room() {
            return Ok(None);
        }
        if let Some(turn) = self.ready().pop_front() {
            return Ok(Some(turn));
        }
        match self.server.recv() {
            Ok(request) => Ok(self.connections.arrive(request)),
            // accepting failed: the reaper finds the thread dead
            Err(error) if error.raw_os_error().is_some() => Ok(None),
            // unblocked
            Err(_) if self.ending.load(Ordering::SeqCst) && self.ready().is_empty() => Err(Ended),
            Err(_) => Ok(None),
        }
    }

    /// The request of this client is answered: the next one's turn, if there is one.
    pub fn finish(&self, client: Option<Client>) {
        self.connections.settle();
        self.pass_on(client);
    }

    /// The next one's turn, if there is one.
    pub fn pass_on(&self, client: Option<Client>) {
        if let Some(follower) = self.connections.pass_on(client) {
            self.take(follower);
        }
    }

    /// Takes a request whose turn has come.
    pub fn take(&self, turn: Turn) {
        self.ready().push_back(turn);
        // a worker that waits for requests of the server looks there too
        self.server.unblock();
    }

    /// Lets each of so many workers end after the requests that are already there.
    pub fn end(&self, workers: usize) {
        self.ending.store(true, Ordering::SeqCst);
        // one token each; they lie behind the requests that came before
        for _ in 0..workers {
            self.server.unblock();
        }
    }

    /// Whether its workers were told to end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Whether the accepting thread is there: it alone owns its descriptor of the listening socket.
    pub fn is_accepting(&self, socket: Cookie) -> bool {
        descriptors::cookie(self.descriptor) == Some(socket)
    }

    /// The accepting thread's descriptor of the listening socket.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Turn>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many threads tiny_http starts with: the accepting one, and four that wait for connections.
const FIRST_THREADS: usize = 5;

/// Finds out whether tiny_http's first threads are to be had: without them it would die at once.
fn require_threads() -> io::Result<()> {
    let (end, ended) = sync_channel::<()>(0);
    let ended = Arc::new(Mutex::new(ended));
    let wait = |_| {
        let ended = ended.clone();
        // they wait for each other's turn, and all of them end with the channel
        thread::Builder::new().spawn(move || {
            let _ = ended.lock().map(|ended| ended.recv());
        })
    };
    let started: io::Result<Vec<_>> = (0..=FIRST_THREADS).map(wait).collect();
    drop(end);
    started.map_err(|error| no_thread(&error))?.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn no_thread(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("no thread for the HTTP library: {error}"))
}
