//! A client that sends valid requests while others misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::http::Connection;
use super::stalls::Stalls;
use super::waiting::pause;

/// The longest time of one request, apart from stalls of the machine.
const LONGEST: Duration = Duration::from_secs(1);
/// The longest time of nine in ten requests; a busy machine delays the rest.
const USUAL: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(10);

pub struct BackgroundClient {
    done: Arc<AtomicBool>,
    stalls: Stalls,
    thread: JoinHandle<Vec<Duration>>,
}

impl BackgroundClient {
    /// Sends one request after another from now on, each on its own connection.
    pub fn start(daemon: &Daemon) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (address, is_done) = (daemon.address().to_owned(), done.clone());
        let thread = thread::spawn(move || {
            let mut took = Vec::new();
            // one more request after the end, so that there is at least one
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

    /// Fails the test if any request failed or was delayed.
    #[track_caller]
    pub fn assert_undisturbed(self) {
        self.done.store(true, Ordering::SeqCst);
        let mut took = self.thread.join().expect("a valid request failed");
        let stalled = self.stalls.longest();
        took.sort_unstable();
        let (usual, longest) = (took[(took.len() - 1) * 9 / 10], took[took.len() - 1]);
        assert!(
            usual < USUAL + stalled && longest < LONGEST + stalled,
            "of {} requests nine in ten took {usual:?}, one {longest:?}; the machine stalled for {stalled:?}",
            took.len()
        );
    }
}

/// One request, from opening the connection to its reply.
fn visit(address: &str) -> Duration {
    let start = Instant::now();
    let mut connection = Connection::open(address);
    assert_eq!(connection.get("/nothing").status, 404);
    start.elapsed()
}
