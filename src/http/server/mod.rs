//! One listening socket with everything that serves it: generations of the library's server, their workers, the
//! errands for bodies and answers that may have to wait, and the guard.

pub mod listener;

mod acceptor;
mod connections;
mod descriptors;
mod reaper;
mod sockets;

pub mod exchange;
pub mod request;
pub mod thread_pool;

pub mod body;
mod chunks;

pub mod reply_writer;
mod wire;

mod probe;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use self::acceptor::{Ended, Generation};
use self::connections::Connections;
use self::exchange::Exchange;
use self::listener::{Listener, allow_connections};
use self::reaper::{Guard, Limits};
use self::thread_pool::Errands;
use crate::http::access::Bearers;

use self::reply_writer::Replies;
use self::sockets::Sockets;
use crate::config::Config;
use crate::http::reply::Reply;
use crate::http::{Endpoints, REPLY_THREAD};
use crate::mqtt::{Publisher, Subscriber};
use crate::thread::Watch;

/// What the names of the workers' threads start with.
const WORKERS: &str = "http-";
/// The name of the thread that watches the connections.
const GUARD: &str = "guard";
/// What the names of the threads that wait for bodies, and those that write answers on a Unix socket, are.
const BODIES: &str = "body";
const WRITERS: &str = "write";
/// The name of the threads that write streams.
const STREAMS: &str = "stream";
/// What unfinished bodies may take together, unless a single one may be longer than half of it. In bytes.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// Answers on a Unix socket that may wait for a thread; the guard ends those whose clients do not read.
const MAX_UNWRITTEN: usize = 100_000;

/// A served socket.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    listener: Listener,
    connections: Arc<Connections>,
    endpoints: Endpoints,
    bodies: Errands,
    watch: Watch,
    workers: usize,
    state: Mutex<State>,
    /// Notified when a worker ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// The newest one last, which alone may be accepting.
    generations: Vec<Crew>,
    /// Nothing is accepted any more.
    is_deaf: bool,
}

/// A generation and its workers.
struct Crew {
    generation: Arc<Generation>,
    workers: usize,
}

impl Door {
    /// Serves the socket from now on.
    ///
    /// # Errors
    /// If the system has no thread or no descriptor to give.
    pub fn open(
        listener: Listener,
        config: &Config,
        bearers: &Bearers,
        publisher: &Publisher,
        subscriber: &Subscriber,
        watch: &Watch,
    ) -> io::Result<Self> {
        let http = &config.http;
        let (max_held, memory) = (MAX_HELD.max(2 * http.max_body), publisher.memory().clone());
        let sockets = Sockets::new(listener.cookie(), listener.address().clone())?;
        let max_writers = http.max_connections + http.max_listeners;
        let writers = Errands::new(WRITERS, watch.clone(), max_writers, MAX_UNWRITTEN);
        let connections = Arc::new(Connections::new(sockets, writers, http.request_timeout, max_held, memory));
        let replies = Replies::default();
        let streams = Errands::new(STREAMS, watch.clone(), http.max_listeners, 0);
        let callers = (bearers.clone(), listener.reach());
        let endpoints =
            Endpoints::new(config, publisher.clone(), subscriber.clone(), (replies.clone(), streams), callers);
        let bodies = Errands::new(BODIES, watch.clone(), 2 * http.max_connections, 0);
        let (watch, workers, state, ended) = (watch.clone(), http.workers, Mutex::default(), Condvar::new());
        let door = Self(Arc::new(Shared { listener, connections, endpoints, bodies, watch, workers, state, ended }));
        door.0.watch.spawn(REPLY_THREAD, move || {
            replies.run();
            Ok(())
        })?;
        door.accept()?;
        let limits = Limits {
            max_connections: allow_connections(http.max_connections),
            idle_timeout: http.idle_timeout,
            request_timeout: http.request_timeout,
        };
        let mut guard = Guard::new(door.clone(), limits);
        door.0.watch.spawn(GUARD, move || {
            guard.run();
            Ok(())
        })?;
        Ok(door)
    }

    /// Lets a new generation accept connections.
    pub(super) fn accept(&self) -> io::Result<()> {
        let generation = Generation::start(&self.0.listener, self.0.connections.clone())?;
        let acceptor = generation.acceptor();
        let is_late = {
            let mut state = self.lock();
            state.generations.push(Crew { generation, workers: 0 });
            state.is_deaf
        };
        // a stop came meanwhile, and knew only the one before; our own socket is shut for both
        if is_late && self.0.listener.is_passed() {
            self.0.listener.stop_accepting(acceptor)?;
        }
        self.staff()
    }

    /// Starts the workers that there are too few of.
    pub(super) fn staff(&self) -> io::Result<()> {
        let mut state = self.lock();
        for crew in state.generations.iter_mut().filter(|crew| !crew.generation.is_ending()) {
            while crew.workers < self.0.workers {
                let (door, generation) = (self.clone(), crew.generation.clone());
                let body = move || {
                    door.work(&generation);
                    Ok(())
                };
                self.0.watch.spawn_passing(&format!("{WORKERS}{}", crew.workers + 1), body)?;
                crew.workers += 1;
            }
        }
        Ok(())
    }

    fn work(&self, generation: &Arc<Generation>) {
        while self.receive(generation).is_ok() {}
        self.lock().leave(generation);
        self.0.ended.notify_all();
    }

    /// Serves requests up to the first one that takes its time: before that one the next worker receives. Waking that
    /// takes longer than most requests do.
    fn receive(&self, generation: &Arc<Generation>) -> Result<(), Ended> {
        let receiving = generation.receive();
        loop {
            match generation.next(&receiving)? {
                // what may have to wait for the client waits elsewhere
                Some(exchange) if exchange.may_wait() => self.serve_elsewhere(exchange),
                Some(exchange) if exchange.is_quick() => serve(&self.0.endpoints, exchange),
                Some(exchange) => {
                    drop(receiving);
                    serve(&self.0.endpoints, exchange);
                    return Ok(());
                }
                None => {}
            }
        }
    }

    fn serve_elsewhere(&self, exchange: Exchange) {
        let endpoints = self.0.endpoints.clone();
        if let Some(exchange) = self.0.bodies.run_with(exchange, move |exchange| serve(&endpoints, exchange)) {
            exchange.answer(&Reply::busy());
        }
    }

    /// Whether the newest generation accepts connections.
    pub(super) fn is_accepting(&self) -> bool {
        let state = self.lock();
        state.generations.last().is_some_and(|crew| crew.generation.is_accepting(self.0.listener.cookie()))
    }

    /// Whether no connection is to be accepted any more.
    pub(super) fn is_deaf(&self) -> bool {
        self.lock().is_deaf
    }

    /// The newest generation.
    pub(super) fn newest(&self) -> Option<Arc<Generation>> {
        self.lock().generations.last().map(|crew| crew.generation.clone())
    }

    /// Ends the generations that are not the newest and have no connection left.
    pub(super) fn retire(&self, has_connections: impl Fn(&Arc<Generation>) -> bool) {
        let mut state = self.lock();
        let Some((_, older)) = state.generations.split_last() else { return };
        for crew in older.iter().filter(|crew| !crew.generation.is_ending() && !has_connections(&crew.generation)) {
            crew.generation.end(crew.workers);
        }
        state.sweep();
    }

    /// Has a request answered that comes in as all others do.
    ///
    /// # Errors
    /// If that does not succeed by the deadline.
    pub fn probe(&self, deadline: Instant) -> io::Result<()> {
        match probe::ask(self.0.listener.address(), deadline) {
            // we may be kept from our own socket, or its address may be away: that says nothing about us
            Err(error) if probe::is_out_of_reach(&error) && self.is_accepting() => Ok(()),
            asked => asked,
        }
    }

    /// Takes no further connections, and ends each of those that are there with its next answer.
    pub fn stop_accepting(&self) {
        let mut state = self.lock();
        state.is_deaf = true;
        let acceptor = state.generations.last().map(|crew| crew.generation.acceptor());
        drop(state);
        self.0.connections.close();
        if let Some(Err(error)) = acceptor.map(|acceptor| self.0.listener.stop_accepting(acceptor)) {
            log::warn!("cannot stop listening on {}: {error}", self.0.listener);
        }
    }

    /// Waits until each connection that was accepted had a request, or the deadline has come.
    pub fn await_first_requests(&self, deadline: Instant) {
        self.0.connections.await_first_requests(deadline);
    }

    /// Waits until every request that came is answered, or the deadline has come. Returns how many are not.
    #[must_use]
    pub fn await_idle(&self, deadline: Instant) -> usize {
        self.0.connections.await_idle(deadline)
    }

    /// Lets each worker end after the requests that are already there, and waits for that up to the deadline.
    pub fn end(&self, deadline: Instant) {
        let mut state = self.lock();
        for crew in &state.generations {
            crew.generation.end(crew.workers);
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
        self.0.endpoints.end_replies();
    }

    /// Asks main to stop in good order and to fail, so that systemd starts the daemon again.
    pub(super) fn request_restart(&self, why: String) {
        self.0.watch.request_restart(why);
    }

    /// What is known of its connections.
    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Its socket.
    pub(super) fn listener(&self) -> &Listener {
        &self.0.listener
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Workers that have not ended.
    fn working(&self) -> usize {
        self.generations.iter().map(|crew| crew.workers).sum()
    }

    /// A worker of this generation has ended.
    fn leave(&mut self, generation: &Arc<Generation>) {
        for crew in self.generations.iter_mut().filter(|crew| Arc::ptr_eq(&crew.generation, generation)) {
            crew.workers -= 1;
        }
        self.sweep();
    }

    /// Forgets the generations that have ended.
    fn sweep(&mut self) {
        self.generations.retain(|crew| crew.workers > 0 || !crew.generation.is_ending());
    }
}

/// Has a request answered; a panic costs its own answer only.
fn serve(endpoints: &Endpoints, exchange: Exchange) {
    // what panicked is in the log already, and leaves nothing behind that others use
    let id = exchange.id().clone();
    let _ = catch_unwind(AssertUnwindSafe(|| id.during(|| endpoints.answer(exchange))));
}

/// Where requests go, as a URL.
impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.listener.fmt(f)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({})", self.0.listener)
    }
}
