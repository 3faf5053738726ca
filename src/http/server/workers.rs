//! The acceptors of one listener and the workers that serve what comes by them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::acceptor::{Acceptor, Ended};
use super::connections::Connections;
use super::exchange::Exchange;
use super::exchange::responder::{Responder, Writers};
use super::listener::socket::Listener;
use super::thread_pool::ThreadPool;
use crate::http::reply::Reply;
use crate::thread::Watch;

/// What the names of the workers' threads start with.
const WORKER: &str = "http-";

/// Answers a request.
pub type Handler = Arc<dyn Fn(Responder) + Send + Sync>;

/// Everything that serves one listener.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    listener: Listener,
    connections: Arc<Connections>,
    handler: Handler,
    writers: Writers,
    /// Threads that wait for bodies.
    bodies: ThreadPool,
    watch: Watch,
    /// Workers of an acceptor.
    count: usize,
    state: Mutex<State>,
    /// Notified when a worker ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// The newest one last, which alone may be accepting.
    crews: Vec<Crew>,
    /// No connection is accepted any more.
    is_stopped: bool,
}

/// An acceptor and its workers.
struct Crew {
    acceptor: Arc<Acceptor>,
    workers: usize,
}

impl Workers {
    /// `count` workers for each acceptor, of which there is none yet.
    pub fn new(
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

    /// Starts an acceptor, which takes the place of the one before.
    pub fn accept(&self) -> io::Result<()> {
        let acceptor = Acceptor::start(&self.0.listener, self.0.connections.clone())?;
        let descriptor = acceptor.descriptor();
        let is_late = {
            let mut state = self.lock();
            state.crews.push(Crew { acceptor, workers: 0 });
            state.is_stopped
        };
        // a stop came meanwhile and knew only the acceptor before; a socket of our own is shut down for both
        if is_late && self.0.listener.is_passed() {
            self.0.listener.stop_accepting(descriptor)?;
        }
        self.staff()
    }

    /// Starts the workers that are missing.
    pub fn staff(&self) -> io::Result<()> {
        let mut state = self.lock();
        for crew in state.crews.iter_mut().filter(|crew| !crew.acceptor.is_ending()) {
            while crew.workers < self.0.count {
                let (workers, acceptor) = (self.clone(), crew.acceptor.clone());
                let body = move || {
                    workers.work(&acceptor);
                    Ok(())
                };
                self.0.watch.spawn_passing(&format!("{WORKER}{}", crew.workers + 1), body)?;
                crew.workers += 1;
            }
        }
        Ok(())
    }

    fn work(&self, acceptor: &Arc<Acceptor>) {
        while self.receive(acceptor).is_ok() {}
        self.lock().leave(acceptor);
        self.0.ended.notify_all();
    }

    /// Serves requests up to the first one that takes its time, before which the next worker begins to receive: waking
    /// that one takes longer than most requests do.
    fn receive(&self, acceptor: &Arc<Acceptor>) -> Result<(), Ended> {
        let receiving = acceptor.receive();
        loop {
            let Some(turn) = acceptor.next(&receiving)? else { continue };
            let exchange = Exchange::new(turn, acceptor.clone());
            if exchange.may_wait() {
                self.serve_elsewhere(exchange);
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
    fn serve_elsewhere(&self, exchange: Exchange) {
        let workers = self.clone();
        if let Some(exchange) = self.0.bodies.run(exchange, move |exchange| workers.serve(exchange)) {
            exchange.answer(&Reply::busy());
        }
    }

    /// Calls the handler; a panic costs the answer to this request only.
    fn serve(&self, exchange: Exchange) {
        let (id, responder) = (exchange.id().clone(), Responder::new(exchange, self.0.writers.clone()));
        // the panic is in the log already, and leaves nothing behind that others use
        let _ = catch_unwind(AssertUnwindSafe(|| id.during(|| (self.0.handler)(responder))));
    }

    /// Whether the newest acceptor accepts connections.
    pub fn is_accepting(&self) -> bool {
        let state = self.lock();
        state.crews.last().is_some_and(|crew| crew.acceptor.is_accepting(self.0.listener.cookie()))
    }

    /// Whether no connection is to be accepted any more.
    pub fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// The newest acceptor.
    pub fn newest(&self) -> Option<Arc<Acceptor>> {
        self.lock().crews.last().map(|crew| crew.acceptor.clone())
    }

    /// Ends the acceptors that are not the newest and have no connection left.
    pub fn retire(&self, has_connections: impl Fn(&Arc<Acceptor>) -> bool) {
        let mut state = self.lock();
        let Some((_, older)) = state.crews.split_last() else { return };
        for crew in older.iter().filter(|crew| !crew.acceptor.is_ending() && !has_connections(&crew.acceptor)) {
            crew.acceptor.end(crew.workers);
        }
        state.sweep();
    }

    /// Takes no further connections, and ends each of those that are there with its next answer.
    pub fn stop_accepting(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let descriptor = state.crews.last().map(|crew| crew.acceptor.descriptor());
        drop(state);
        self.0.connections.close();
        if let Some(Err(error)) = descriptor.map(|descriptor| self.0.listener.stop_accepting(descriptor)) {
            log::warn!("cannot stop listening on {}: {error}", self.0.listener);
        }
    }

    /// Lets each worker end after the requests that are already there, and waits for that up to the deadline.
    pub fn end(&self, deadline: Instant) {
        let mut state = self.lock();
        for crew in &state.crews {
            crew.acceptor.end(crew.workers);
        }
        while state.working() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the thread that writes answers end when all are written.
    pub fn end_replies(&self) {
        self.0.writers.replies.close();
    }

    /// Asks main to stop in good order and to fail, so that systemd starts the daemon again.
    pub fn request_restart(&self, why: String) {
        self.0.watch.request_restart(why);
    }

    /// What is known of the connections.
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// The listening socket.
    pub fn listener(&self) -> &Listener {
        &self.0.listener
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Workers that have not ended.
    fn working(&self) -> usize {
        self.crews.iter().map(|crew| crew.workers).sum()
    }

    /// A worker of this acceptor has ended.
    fn leave(&mut self, acceptor: &Arc<Acceptor>) {
        for crew in self.crews.iter_mut().filter(|crew| Arc::ptr_eq(&crew.acceptor, acceptor)) {
            crew.workers -= 1;
        }
        self.sweep();
    }

    /// Forgets the acceptors that have ended.
    fn sweep(&mut self) {
        self.crews.retain(|crew| crew.workers > 0 || !crew.acceptor.is_ending());
    }
}
