//! The reaper: a thread that watches the connections that tiny_http hides, and closes those that would harm others.
//!
//! tiny_http keeps a thread and two descriptors for each connection, for as long as the client likes; it leaves some
//! connections of a burst without a thread; and its accepting thread dies when there is no descriptor or no thread
//! left. All of that can be found and cured with socket statistics, but for two leaks, which are counted as stuck
//! connections.

mod accepting;
mod eviction;
mod judging;
mod shared_addresses;
mod threads;
mod tracked;
mod verdict;

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use self::accepting::Retry;
use self::tracked::Tracked;
use super::acceptor::Acceptor;
use super::life_cycle::Server;
use super::sockets::{SocketId, descriptors};
use crate::config::Http;
use crate::metrics;
use crate::socket::Cookie;

/// The pause between scans while there are connections: memory must hold what a client can send in that time.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause while there are none.
const LONG_PAUSE: Duration = Duration::from_millis(20);
/// While there are none, this many scans in a row are skipped, unless a descriptor was opened.
const MAX_SKIPPED: u32 = 10;
/// Scanning uses at most 1/25 of a core, however many connections there are.
const MAX_CPU_SHARE: u32 = 25;
/// The longest pause that this leads to.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// What the reaper knows from one scan to the next.
pub struct Reaper {
    server: Server,
    limits: Http,
    tracked: HashMap<Cookie, Tracked>,
    /// Sockets that are not connections of our listener, and the scan that last found them.
    others: HashMap<Cookie, u64>,
    /// The number of the current scan.
    scan: u64,
    /// The lowest number that was no open descriptor at the last scan: the next descriptor that is opened gets it.
    lowest_closed: RawFd,
    /// A new socket was found since the last `judge`.
    has_new: bool,
    skipped: u32,
    /// Set while connections cannot be accepted.
    retry: Option<Retry>,
    /// When threads were last woken for all connections that may wait for one.
    all_woken: Option<Instant>,
    /// How many accepting threads have died. Some of them leave an idle thread behind, which cannot be counted.
    deaths: usize,
    restarting: bool,
    /// Open connections as last reported to the metrics.
    open: i64,
}

impl Reaper {
    pub fn new(server: Server, limits: Http) -> Self {
        Self {
            server,
            limits,
            tracked: HashMap::new(),
            others: HashMap::new(),
            scan: 0,
            lowest_closed: 0,
            has_new: false,
            skipped: 0,
            retry: None,
            all_woken: None,
            deaths: 0,
            restarting: false,
            open: 0,
        }
    }

    /// Scans again and again, as long as the process lives.
    pub fn run(&mut self) {
        loop {
            let (start, cpu) = (Instant::now(), cpu_time());
            self.ensure_accepting(start);
            if self.is_quiet() {
                self.skipped += 1;
                sleep(LONG_PAUSE);
                continue;
            }
            self.skipped = 0;
            self.scan(start);
            let without_thread = self.judge(start);
            self.serve_kept(start);
            self.wake_threads(without_thread, start);
            self.retire_acceptors();
            self.count_stuck(start);
            self.report_open();
            self.server.connections().count_scan();
            let pause = if self.tracked.is_empty() { LONG_PAUSE } else { PAUSE };
            sleep(pause.max((cpu_time().saturating_sub(cpu) * MAX_CPU_SHARE).min(MAX_PAUSE)));
        }
    }

    /// Whether a scan would probably find nothing: there is no connection, and no descriptor was opened.
    fn is_quiet(&self) -> bool {
        self.tracked.is_empty()
            && !self.server.is_stopped()
            && self.skipped < MAX_SKIPPED
            && self.lowest_closed > 0
            && !descriptors::is_open(self.lowest_closed)
    }

    /// Scans the descriptors of the process for connections of our listener, and measures each of them.
    fn scan(&mut self, now: Instant) {
        self.scan += 1;
        let server = self.server.clone();
        let sockets = &server.connections().sockets;
        self.lowest_closed = 0;
        for fd in sockets.descriptors.fds() {
            let Some(socket) = SocketId::at(fd) else {
                if self.lowest_closed == 0 && !descriptors::is_open(fd) {
                    self.lowest_closed = fd;
                }
                continue;
            };
            if let Some(tracked) = self.tracked.get_mut(&socket.cookie) {
                (tracked.socket, tracked.scan) = (socket, self.scan);
            } else if let Some(scan) = self.others.get_mut(&socket.cookie) {
                *scan = self.scan;
            } else {
                match sockets.peer(socket) {
                    // the peer may be another socket's
                    _ if !socket.is_open() => {}
                    Some(peer) => {
                        let tracked = Tracked::new(peer, server.newest(), socket, self.scan, now);
                        self.tracked.insert(socket.cookie, tracked);
                        self.has_new = true;
                    }
                    None => drop(self.others.insert(socket.cookie, self.scan)),
                }
            }
        }
        self.tracked.retain(|_, tracked| tracked.scan == self.scan);
        self.others.retain(|_, scan| *scan == self.scan);
        for tracked in self.tracked.values_mut() {
            tracked.measure();
        }
    }

    /// Serves requests whose connection the scan has found, closes the lingering connections that have had their time,
    /// and serves the next requests of those.
    fn serve_kept(&self, now: Instant) {
        let connections = self.server.connections();
        let (attributed, finished) = (connections.attribute(now), connections.finish_lingering(now));
        let Some(newest) = self.server.newest() else { return };
        for request in attributed {
            newest.serve(request);
        }
        for id in finished {
            newest.serve_next(Some(id));
        }
    }

    /// Ends the older acceptors that have no connection left.
    fn retire_acceptors(&self) {
        self.server.retire(|acceptor| {
            let accepted = |other: &Arc<Acceptor>| Arc::ptr_eq(other, acceptor);
            self.tracked.values().any(|tracked| tracked.acceptor.as_ref().is_some_and(accepted))
        });
    }

    fn report_open(&mut self) {
        let open = self.tracked.values().filter(|tracked| tracked.ended.is_none()).count();
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        metrics::METRICS.http_connections.add(open - self.open);
        self.open = open;
    }
}

/// CPU time of this thread. Wall-clock time would count other programs on a busy machine too.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
