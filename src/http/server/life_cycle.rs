//! The server of one listener: its acceptors and their workers, and how it stops.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use super::acceptor::Acceptor;
use super::connections::Connections;
use super::listener::socket::Listener;
use super::workers::Service;
use crate::thread::Watch;

/// The beginning of the workers' thread names.
const WORKER: &str = "http-";

/// A server of one listening socket.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    listener: Listener,
    connections: Arc<Connections>,
    service: Service,
    watch: Watch,
    /// Workers of each acceptor.
    workers: usize,
    state: Mutex<State>,
    /// Notified when a worker ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Only the last one, which is the newest, may be accepting connections.
    acceptors: Vec<Arc<Acceptor>>,
    /// No connection is to be accepted any more.
    is_stopped: bool,
}

impl Server {
    pub(super) fn new(
        listener: Listener,
        connections: Connections,
        service: Service,
        watch: Watch,
        workers: usize,
    ) -> Self {
        let (connections, state, ended) = (Arc::new(connections), Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { listener, connections, service, watch, workers, state, ended }))
    }

    /// Starts an acceptor, which accepts instead of the one before.
    pub(super) fn accept(&self) -> io::Result<()> {
        let acceptor = Acceptor::start(&self.0.listener, self.0.connections.clone())?;
        let accepting = acceptor.accepting;
        let mut state = self.lock();
        state.acceptors.push(acceptor);
        let is_late = state.is_stopped;
        drop(state);
        // `stop_accepting` was called meanwhile for the previous acceptor only. The shutdown of our own socket acts on
        // both
        if is_late && self.0.listener.is_passed {
            self.0.listener.stop_accepting(accepting)?;
        }
        self.start_missing()
    }

    /// Starts the workers that are missing.
    pub(super) fn start_missing(&self) -> io::Result<()> {
        let state = self.lock();
        for acceptor in state.acceptors.iter().filter(|acceptor| !acceptor.is_ending()) {
            for number in acceptor.workers() + 1..=self.0.workers {
                let (server, theirs) = (self.clone(), acceptor.clone());
                self.0.watch.spawn_passing(&format!("{WORKER}{number}"), move || server.work(&theirs))?;
                acceptor.workers.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    fn work(&self, acceptor: &Arc<Acceptor>) {
        while self.0.service.receive(acceptor) {}
        let mut state = self.lock();
        acceptor.workers.fetch_sub(1, Ordering::SeqCst);
        state.remove_ended();
        drop(state);
        self.0.ended.notify_all();
    }

    /// Whether the newest acceptor accepts connections.
    pub(super) fn is_accepting(&self) -> bool {
        self.newest().is_some_and(|acceptor| acceptor.accepting.is_open())
    }

    /// Whether no connection is to be accepted any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    pub(super) fn newest(&self) -> Option<Arc<Acceptor>> {
        self.lock().acceptors.last().cloned()
    }

    /// Ends the acceptors that are not the newest and have no connection left.
    pub(super) fn retire(&self, has_connections: impl Fn(&Arc<Acceptor>) -> bool) {
        let mut state = self.lock();
        let Some((_, older)) = state.acceptors.split_last() else { return };
        let unused = |acceptor: &&Arc<Acceptor>| !acceptor.is_ending() && !has_connections(acceptor);
        older.iter().filter(unused).for_each(|acceptor| acceptor.end());
        state.remove_ended();
    }

    /// Accepts no further connection, and closes each of those that are open after its next reply.
    pub fn stop_accepting(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let newest = state.acceptors.last().cloned();
        drop(state);
        self.0.connections.drain();
        if let Some(Err(error)) = newest.map(|newest| self.0.listener.stop_accepting(newest.accepting)) {
            log::warn!("cannot stop listening on {}: {error}", self.0.listener);
        }
    }

    /// Lets each worker end after the requests that are already there, and waits for that until the deadline.
    pub fn end(&self, deadline: Instant) {
        let state = self.lock();
        state.acceptors.iter().for_each(|acceptor| acceptor.end());
        let timeout = deadline.saturating_duration_since(Instant::now());
        let are_working = |state: &mut State| state.acceptors.iter().any(|acceptor| acceptor.workers() > 0);
        drop(self.0.ended.wait_timeout_while(state, timeout, are_working));
    }

    /// Lets the reply thread end when all replies are written.
    pub fn end_replies(&self) {
        self.0.service.writers.replies.close();
    }

    /// Waits until each accepted connection had a request, or until the deadline.
    pub fn await_first_requests(&self, deadline: Instant) {
        self.connections().await_first_requests(deadline);
    }

    /// Waits until every request is answered, or until the deadline. Returns how many are not.
    #[must_use]
    pub fn await_idle(&self, deadline: Instant) -> usize {
        self.connections().await_idle(deadline)
    }

    /// Asks main to stop in good order and to fail, so that systemd starts the daemon again.
    pub(super) fn request_restart(&self, why: String) {
        self.0.watch.request_restart(why);
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.0.listener
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URL, or the path of a Unix socket.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener().fmt(f)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl State {
    /// Removes the acceptors that have ended.
    fn remove_ended(&mut self) {
        self.acceptors.retain(|acceptor| acceptor.workers() > 0 || !acceptor.is_ending());
    }
}
