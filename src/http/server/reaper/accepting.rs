//! Starts another acceptor when tiny_http's accepting thread has died: of any error of `accept`, such as no descriptor
//! left, or of a panic where there is no thread left.

use std::time::{Duration, Instant};

use super::Reaper;

/// How many descriptors must be available for a try: the socket's, and those of some connections. An accepting thread
/// that finds more connections in the backlog than descriptors dies at once, and may leave a thread behind.
const ROOM: usize = 32;
/// How many must be available after some tries: the socket's, one connection's two, and one to wake a thread with.
const MIN_ROOM: usize = 4;
/// The pauses between tries.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(800);
/// From this pause on, `MIN_ROOM` must do.
const LATE_BACKOFF: Duration = Duration::from_millis(400);

/// The next try to accept connections.
pub struct Retry {
    at: Instant,
    backoff: Duration,
}

impl Reaper {
    /// Starts another acceptor if the newest one does not accept, and workers that are missing.
    pub(super) fn ensure_accepting(&mut self, now: Instant) {
        if self.server.is_stopped() {
            return;
        }
        if self.server.is_accepting() {
            if self.retry.take_if(|retry| now > retry.at + retry.backoff * 4).is_some() {
                log::info!("accepting connections on {} again", self.server.listener());
            }
            if let Err(error) = self.server.start_missing() {
                log::debug!("too few workers: {error}");
            }
            return;
        }
        let backoff = match &self.retry {
            Some(retry) if now < retry.at => return,
            Some(retry) => (retry.backoff * 2).min(MAX_BACKOFF),
            None => {
                log::warn!(
                    "cannot accept connections on {}: no descriptor or no thread is left; trying again",
                    self.server.listener()
                );
                MIN_BACKOFF
            }
        };
        self.retry = Some(Retry { at: now + backoff, backoff });
        let room = if backoff < LATE_BACKOFF { ROOM } else { MIN_ROOM };
        if !self.server.connections().sockets.descriptors.has_room(room) {
            return;
        }
        // all connections that are open now came by the dead acceptor
        self.scan(now);
        match self.server.accept() {
            Ok(()) => self.deaths += 1,
            Err(error) => log::debug!("cannot accept again: {error}"),
        }
    }
}
