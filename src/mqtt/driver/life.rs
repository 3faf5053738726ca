//! Whether a connection lives, and how long it may be silent until that is asked.

use std::time::{Duration, Instant};

use super::{Connection, Stage};
use crate::journal;
use crate::mqtt::client::connection::{CONNECT_TIMEOUT, Event, Lost};

/// A broker that lets a publish or our SUBSCRIBE wait so long for its acknowledgement is taken for dead.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The library is not called with a shorter timeout than this, so that nothing turns without end.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// How often it is looked whether the journal has room again, where messages were left for that.
const STARVED_WAIT: Duration = Duration::from_secs(1);

/// How often it is looked at most whether bytes pass.
const LOOK: Duration = Duration::from_millis(500);
/// How long it takes to see whether what waits to be taken is taken.
const DOUBT: Duration = Duration::from_secs(2);
/// Bytes of a whole packet that may have come since it was looked last: a PINGRESP, be it in TLS.
const SMALL: u64 = 64;
/// A packet that takes so long to come is one that others wait behind.
const LONG_PACKET: Duration = Duration::from_secs(10);

/// What is known of a connection beside its packets.
pub struct Life {
    looked: Instant,
    /// When the last whole packet came.
    heard: Instant,
    /// One came since that was noted.
    is_heard: bool,
    /// None came since it was looked last: what has passed since is of another one.
    is_seen: bool,
    /// When bytes were last seen to pass of a packet that takes long.
    passing: Instant,
    /// It is not known before whether the broker takes what we write.
    doubted_until: Instant,
}

impl Life {
    pub fn new(now: Instant) -> Self {
        Self { looked: now, heard: now, is_heard: true, is_seen: false, passing: now, doubted_until: now }
    }

    /// Notes what came from the broker.
    pub fn heard(&mut self, event: &Event) {
        self.is_heard |= !matches!(event, Event::Written(_) | Event::Asked(_) | Event::Disconnected | Event::Other);
    }
}

impl Connection<'_> {
    /// Bytes that pass are life, though they are not yet a packet: ours and the broker's answers wait behind it.
    pub(super) fn look_for_life(&mut self, now: Instant) {
        if std::mem::take(&mut self.life.is_heard) {
            self.life.heard = now;
            self.life.is_seen = false;
        }
        if now < self.life.looked + LOOK {
            return;
        }
        self.life.looked = now;
        let small = if std::mem::replace(&mut self.life.is_seen, true) { 0 } else { SMALL };
        let passed = self.pipe.passed();
        if passed.has_new_backlog {
            self.life.doubted_until = now + DOUBT;
        }
        if passed.bytes > small && now >= self.life.heard + LONG_PACKET.min(self.longest_silence() / 2) {
            self.life.passing = now;
        }
    }

    /// Whether the connection lives; if it does, how long the library may wait for the next event before that is asked
    /// again. The library probes a silent connection, but does not notice in MQTT 5 that its own writing stands still.
    pub(super) fn check_life(&mut self, now: Instant) -> Result<Duration, Lost> {
        let (published, overdue) = self.driver.publisher.vital_times();
        let silence = (self.last_event.max(self.life.passing) + self.longest_silence()).max(self.life.doubted_until);
        let unanswered = self.oldest_unanswered(published);
        let answered_by = |since: Instant| since.max(self.life.passing) + ACKNOWLEDGEMENT_TIMEOUT;
        let acknowledgement = unanswered.map(|since| answered_by(since).max(self.life.doubted_until));
        if now >= silence {
            return Err(Lost::new(format!("nothing heard for {} s", self.longest_silence().as_secs())));
        }
        if acknowledgement.is_some_and(|at| now >= at) {
            return Err(Lost::new(format!("no acknowledgement for {} s", ACKNOWLEDGEMENT_TIMEOUT.as_secs())));
        }
        if self.intake.is_starved() && !self.leaving && journal::is_settled() {
            // behind the last acknowledgement, or what it settles would come again too
            self.leaving = self.driver.publisher.leave();
        }
        if overdue.is_some_and(|at| now > at) {
            return Err(Lost::new("the broker takes nothing, and a message would leave after its deadline"));
        }
        let longest = now + if self.intake.is_starved() { STARVED_WAIT } else { ACKNOWLEDGEMENT_TIMEOUT };
        let due = [acknowledgement, overdue].into_iter().flatten().fold(silence.min(longest), Instant::min);
        Ok(due.saturating_duration_since(now).max(SHORTEST_WAIT))
    }

    pub(super) fn longest_silence(&self) -> Duration {
        2 * self.pipe.keepalive() + CONNECT_TIMEOUT
    }

    /// Since when the broker has not answered, given that of publishes.
    fn oldest_unanswered(&self, published: Option<Instant>) -> Option<Instant> {
        let released = if let Stage::Releasing { since, .. } = self.stage { Some(since) } else { None };
        [released, self.driver.subscriber.oldest_asked(), published].into_iter().flatten().min()
    }
}
