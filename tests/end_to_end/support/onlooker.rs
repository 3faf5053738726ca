//! An honest client that goes about its business while others misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::http::Connection;
use super::stalls::Stalls;
use super::waiting::pause;

/// What one request of it may take, on a machine that does not stand still.
const LONGEST: Duration = Duration::from_secs(1);
/// What nine of ten may take: the rest is a busy machine's.
const USUAL: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(10);

pub struct Onlooker {
    done: Arc<AtomicBool>,
    stalls: Stalls,
    thread: JoinHandle<Vec<Duration>>,
}

impl Onlooker {
    /// Sends a request after another from now on, each on a connection of its own.
    pub fn start(daemon: &Daemon) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (address, is_done) = (daemon.address().to_owned(), done.clone());
        let thread = thread::spawn(move || {
            let mut took = Vec::new();
            // one more after the end, so that there is one at least
            loop {
                let last = is_done.load(Ordering::SeqCst);
                took.push(visit(&address));
                if last {
                    return took;
                }
                pause(PAUSE);
            }
        });
        Self { done, stalls: Stalls::start(), thread }
    }

    /// Fails the test if any request failed or waited.
    #[track_caller]
    pub fn assert_undisturbed(self) {
        self.done.store(true, Ordering::SeqCst);
        let mut took = self.thread.join().expect("an honest request failed");
        let stalled = self.stalls.longest();
        took.sort_unstable();
        let (usual, longest) = (took[(took.len() - 1) * 9 / 10], took[took.len() - 1]);
        assert!(
            usual < USUAL + stalled && longest < LONGEST + stalled,
            "of {} requests nine in ten took {usual:?}, one {longest:?}; the machine stood still for {stalled:?}",
            took.len()
        );
    }
}

/// One request, from opening the connection to its answer.
fn visit(address: &str) -> Duration {
    let start = Instant::now();
    let mut connection = Connection::open(address);
    assert_eq!(connection.get("/nothing").status, 404);
    start.elapsed()
}
