//! The server of one listener: its acceptors, and the worker threads that serve the requests of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use super::acceptor::{Acceptor, Ended};
use super::connections::Connections;
use super::exchange::Exchange;
use super::listener::socket::Listener;
use super::responder::{Responder, Writers};
use super::thread_pool::ThreadPool;
use crate::http::reply::Reply;
use crate::thread::Watch;

/// The beginning of the workers' thread names.
const WORKER: &str = "http-";

/// Answers a request.
pub type Handler = Arc<dyn Fn(Responder) + Send + Sync>;

/// A server of one listening socket.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    listener: Listener,
    connections: Arc<Connections>,
    handler: Handler,
    writers: Writers,
    /// Threads that wait for bodies.
    bodies: ThreadPool,
    watch: Watch,
    /// Workers of each acceptor.
    count: usize,
    state: Mutex<State>,
    /// Notified when a worker ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Only the last one, which is the newest, may be accepting connections.
    acceptors: Vec<Entry>,
    /// No connection is to be accepted any more.
    is_stopped: bool,
}

struct Entry {
    acceptor: Arc<Acceptor>,
    /// Workers that have not ended.
    workers: usize,
}

impl Server {
    /// `count` workers for each acceptor, of which there is none yet.
    pub(super) fn new(
        listener: Listener,
        connections: Arc<Connections>,
        handler: Handler,
        writers: Writers,
        (bodies, count): (ThreadPool, usize),
        watch: Watch,
    ) -> Self {
        let (state, ended) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { listener, connections, handler, writers, bodies, watch, count, state, ended }))
    }

    /// Starts an acceptor, which accepts instead of the one before.
    pub(super) fn accept(&self) -> io::Result<()> {
        let acceptor = Acceptor::start(&self.0.listener, self.0.connections.clone())?;
        let accepting = acceptor.accepting;
        let is_late = {
            let mut state = self.lock();
            state.acceptors.push(Entry { acceptor, workers: 0 });
            state.is_stopped
        };
        // `stop_accepting` came meanwhile and knew only the acceptor before. The shutdown of our own socket acts on
        // both
        if is_late && self.0.listener.is_passed {
            self.0.listener.stop_accepting(accepting)?;
        }
        self.start_missing()
    }

    /// Starts the workers that are missing.
    pub(super) fn start_missing(&self) -> io::Result<()> {
        let mut state = self.lock();
        for entry in state.acceptors.iter_mut().filter(|entry| !entry.acceptor.is_ending()) {
            while entry.workers < self.0.count {
                let (server, acceptor) = (self.clone(), entry.acceptor.clone());
                let body = move || {
                    server.work(&acceptor);
                    Ok(())
                };
                self.0.watch.spawn_passing(&format!("{WORKER}{}", entry.workers + 1), body)?;
                entry.workers += 1;
            }
        }
        Ok(())
    }

    fn work(&self, acceptor: &Arc<Acceptor>) {
        while self.receive(acceptor).is_ok() {}
        self.lock().remove_worker(acceptor);
        self.0.ended.notify_all();
    }

    /// Serves quick requests and one that may take longer, before which the next worker begins to receive: waking that
    /// one takes longer than most requests.
    fn receive(&self, acceptor: &Arc<Acceptor>) -> Result<(), Ended> {
        let receiving = acceptor.receive();
        loop {
            let Some(request) = acceptor.next(&receiving)? else { continue };
            let exchange = Exchange::new(request, acceptor.clone());
            if exchange.may_wait() {
                self.serve_in_pool(exchange);
            } else if exchange.is_quick() {
                self.serve(exchange);
            } else {
                drop(receiving);
                self.serve(exchange);
                return Ok(());
            }
        }
    }

    /// Serves a request whose body is still to come, in a thread that may wait for the client.
    fn serve_in_pool(&self, exchange: Exchange) {
        let server = self.clone();
        if let Some(exchange) = self.0.bodies.run(exchange, move |exchange| server.serve(exchange)) {
            exchange.send(&Reply::busy());
        }
    }

    /// Calls the handler. After a panic only this request gets no reply.
    fn serve(&self, exchange: Exchange) {
        let (id, responder) = (exchange.id().clone(), Responder::new(exchange, self.0.writers.clone()));
        // the panic is logged already, and leaves no state behind that others use
        let _ = catch_unwind(AssertUnwindSafe(|| id.during(|| (self.0.handler)(responder))));
    }

    /// Whether the newest acceptor accepts connections.
    pub(super) fn is_accepting(&self) -> bool {
        self.lock().acceptors.last().is_some_and(|entry| entry.acceptor.accepting.is_open())
    }

    /// Whether no connection is to be accepted any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    pub(super) fn newest(&self) -> Option<Arc<Acceptor>> {
        self.lock().acceptors.last().map(|entry| entry.acceptor.clone())
    }

    /// Ends the acceptors that are not the newest and have no connection left.
    pub(super) fn retire(&self, has_connections: impl Fn(&Arc<Acceptor>) -> bool) {
        let mut state = self.lock();
        let Some((_, older)) = state.acceptors.split_last() else { return };
        for entry in older.iter().filter(|entry| !entry.acceptor.is_ending() && !has_connections(&entry.acceptor)) {
            entry.acceptor.end(entry.workers);
        }
        state.remove_ended();
    }

    /// Accepts no further connection, and closes each of those that are open after its next reply.
    pub fn stop_accepting(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let accepting = state.acceptors.last().map(|entry| entry.acceptor.accepting);
        drop(state);
        self.0.connections.drain();
        if let Some(Err(error)) = accepting.map(|accepting| self.0.listener.stop_accepting(accepting)) {
            log::warn!("cannot stop listening on {}: {error}", self.0.listener);
        }
    }

    /// Lets each worker end after the requests that are already there, and waits for that until the deadline.
    pub fn end(&self, deadline: Instant) {
        let mut state = self.lock();
        for entry in &state.acceptors {
            entry.acceptor.end(entry.workers);
        }
        while state.working() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the reply thread end when all replies are written.
    pub fn end_replies(&self) {
        self.0.writers.replies.close();
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
    fn working(&self) -> usize {
        self.acceptors.iter().map(|entry| entry.workers).sum()
    }

    /// Records that a worker of this acceptor has ended.
    fn remove_worker(&mut self, acceptor: &Arc<Acceptor>) {
        for entry in self.acceptors.iter_mut().filter(|entry| Arc::ptr_eq(&entry.acceptor, acceptor)) {
            entry.workers -= 1;
        }
        self.remove_ended();
    }

    /// Removes the acceptors that have ended.
    fn remove_ended(&mut self) {
        self.acceptors.retain(|entry| entry.workers > 0 || !entry.acceptor.is_ending());
    }
}
