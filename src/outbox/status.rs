//! The state of the outbox, for `/status`, `/readyz` and metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::ledger::Ledger;

/// A disk that takes longer is one that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state at one moment.
#[derive(Debug, Clone, Default)]
pub struct OutboxStatus {
    /// Messages in each state, in the order of the states of `GET /outbox`.
    pub counts: [u64; 5],
    /// Bytes of those that are not settled.
    pub bytes: u64,
    /// Since when the oldest of these is there.
    pub oldest: Option<SystemTime>,
    /// Why nothing can be stored, if so.
    pub trouble: Option<Arc<str>>,
}

/// Where the thread `outbox` reports.
#[derive(Debug, Default)]
pub struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    status: OutboxStatus,
    /// Since when the thread waits for the disk.
    disk_since: Option<Instant>,
}

impl Board {
    /// The thread begins to wait for the disk.
    pub fn disk_begins(&self) -> Instant {
        let now = Instant::now();
        self.lock().disk_since = Some(now);
        now
    }

    /// The disk has answered.
    pub fn disk_ends(&self) {
        self.lock().disk_since = None;
    }

    /// What is in the outbox now.
    pub fn report(&self, ledger: &Ledger, trouble: Option<Arc<str>>) {
        let oldest = ledger.oldest().map(|entry| entry.since);
        let status = OutboxStatus { counts: ledger.counts(), bytes: ledger.bytes(), oldest, trouble };
        self.lock().status = status;
    }

    /// The state now.
    pub fn status(&self) -> OutboxStatus {
        let state = self.lock();
        let mut status = state.status.clone();
        if let Some(waited) = state.disk_since.map(|since| since.elapsed()).filter(|waited| *waited >= PATIENCE) {
            status.trouble = Some(format!("the disk has not answered for {} s", waited.as_secs()).into());
        }
        status
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
