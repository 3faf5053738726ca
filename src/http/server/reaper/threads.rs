//! Threads of tiny_http's: wakes those that connections wait for, and counts those that cannot be freed.

use std::time::{Duration, Instant};

use super::Reaper;
use super::tracked::{Tracked, WAKE_PAUSE};

/// For how many connections a thread is woken at a time.
const MAX_WOKEN: usize = 512;
/// How long after its end a connection may still be open before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How many may be stuck before the daemon is restarted: each keeps a thread, and most of them two descriptors.
const MAX_STUCK: usize = 200;

impl Reaper {
    /// Wakes a thread of tiny_http's for each connection that waits for one, by a connection of our own: where no
    /// thread is idle, tiny_http starts one for a new connection, and that thread takes the next one of the queue when
    /// it is done. In that queue, a silent connection may be before others; so from time to time threads are woken for
    /// all.
    pub(super) fn wake_threads(&mut self, without_thread: usize, now: Instant) {
        // the connection would not be accepted
        if without_thread == 0 || !self.server.is_accepting() {
            return;
        }
        let wakes_all = self.all_woken.is_none_or(|woken| now >= woken + WAKE_PAUSE);
        let all = || self.tracked.values().filter(|tracked| tracked.may_lack_thread()).count();
        let count = if wakes_all { all() } else { without_thread };
        self.all_woken = if wakes_all { Some(now) } else { self.all_woken };
        for _ in 0..count.min(MAX_WOKEN) {
            if let Err(error) = self.server.listener().connect_once() {
                log::debug!("cannot connect to ourselves: {error}");
            }
        }
    }

    /// Counts the connections that cannot be freed, and has the daemon restarted before they are too many.
    pub(super) fn count_stuck(&mut self, now: Instant) {
        let newest = self.server.newest();
        let is_stuck = |tracked: &&Tracked| {
            tracked.ended.is_some_and(|ended| now > ended + STUCK_AFTER) && tracked.has_thread(newest.as_ref())
        };
        // a client may have gone while its request waits for the broker
        let state = self.server.connections().lock();
        let waiting = if self.server.connections().sockets.is_unix() {
            state.unanswered
        } else {
            state.table.values().filter(|connection| connection.running && connection.socket.is_none()).count()
        };
        drop(state);
        let stuck = self.tracked.values().filter(is_stuck).count().saturating_sub(waiting) + self.deaths;
        if stuck >= MAX_STUCK && !self.restarting {
            self.restarting = true;
            self.server.request_restart(format!("{stuck} threads of connections cannot be freed"));
        }
    }
}
