//! Whether a connection lives, and how long it may be silent until that is asked.

use std::time::{Duration, Instant};

use super::{Connection, Stage};
use crate::journal;
use crate::mqtt::pipe::{CONNECT_TIMEOUT, Lost};

/// A broker that lets a publish or our SUBSCRIBE wait so long for its acknowledgement is taken for dead.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The library is not called with a shorter timeout than this, so that nothing turns without end.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// How often it is looked whether the journal has room again, where messages were left for that.
const STARVED_WAIT: Duration = Duration::from_secs(1);

impl Connection<'_> {
    /// Whether the connection lives; if it does, how long the library may wait for the next event before that is asked
    /// again. The library probes a silent connection, but does not notice in MQTT 5 that its own writing stands still.
    pub(super) fn check_life(&mut self, now: Instant) -> Result<Duration, Lost> {
        let (published, overdue) = self.driver.publisher.vital_times();
        let silence = self.last_event + self.longest_silence();
        let acknowledgement = self.oldest_unanswered(published).map(|since| since + ACKNOWLEDGEMENT_TIMEOUT);
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
