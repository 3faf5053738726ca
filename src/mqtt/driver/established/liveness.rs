//! Whether a connection is alive, and how long to wait for its next event until that is checked again.

use std::time::{Duration, Instant};

use super::Established;
use super::stages::Stage;
use crate::mqtt::client::{Event, Lost};

/// A broker that acknowledges a publish or answers a SUBSCRIBE later than this is taken for dead.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be silent beyond twice the keep alive time.
const GRACE: Duration = Duration::from_secs(5);
/// The shortest timeout for the next event, so that the loop never spins.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// How often to check whether the journal has room again, after messages were left with the broker for lack of it.
const STARVED_WAIT: Duration = Duration::from_secs(1);

/// How often at most the bytes that pass are counted.
const LOOK: Duration = Duration::from_millis(500);
/// How long it takes to see whether the broker takes a backlog of unsent bytes.
const DOUBT: Duration = Duration::from_secs(2);
/// Up to so many bytes since the last look may be a complete packet: a PINGRESP in TLS.
const SMALL: u64 = 64;
/// A packet that takes longer than this to come holds up others.
const LONG_PACKET: Duration = Duration::from_secs(10);

/// What is known of a connection in addition to its packets.
pub struct Liveness {
    /// When bytes were last counted.
    looked: Instant,
    /// When the last complete packet came.
    heard: Instant,
    /// A packet came after `heard` was set.
    is_heard: bool,
    /// No packet came since the last look, so that all bytes since then belong to an incomplete one.
    is_incomplete: bool,
    /// When bytes of an incomplete packet, or of a backlog, were last seen to pass.
    passing: Instant,
    /// Until then it is not known whether the broker takes what we write.
    doubted_until: Instant,
}

impl Liveness {
    pub fn new(now: Instant) -> Self {
        Self { looked: now, heard: now, is_heard: true, is_incomplete: false, passing: now, doubted_until: now }
    }

    /// Notes what came from the broker.
    pub fn heard(&mut self, event: &Event) {
        self.is_heard |= !matches!(
            event,
            Event::PublishWritten(_) | Event::SubscribeWritten(_) | Event::Probed | Event::Disconnected | Event::Other
        );
    }
}

impl Established {
    /// Counts the bytes that pass. They show life before they make up a packet; answers to us may wait behind it.
    pub(super) fn update_liveness(&mut self, now: Instant) {
        let longest_silence = self.longest_silence();
        let liveness = &mut self.liveness;
        if std::mem::take(&mut liveness.is_heard) {
            liveness.heard = now;
            liveness.is_incomplete = false;
        }
        if now < liveness.looked + LOOK {
            return;
        }
        liveness.looked = now;
        let small = if std::mem::replace(&mut liveness.is_incomplete, true) { 0 } else { SMALL };
        let passed = self.connection.passed();
        if passed.has_new_backlog {
            liveness.doubted_until = now + DOUBT;
        }
        if passed.bytes > small && now >= liveness.heard + LONG_PACKET.min(longest_silence / 2) {
            liveness.passing = now;
        }
    }

    /// An error if the connection is dead; otherwise how long to wait for the next event until this is checked again.
    /// The MQTT client probes a silent connection, too, but not while a write of its own in MQTT 5 makes no progress.
    pub(super) fn check_liveness(&mut self, now: Instant) -> Result<Duration, Lost> {
        let (published, overdue) = self.publisher.vital_times();
        let Liveness { passing, doubted_until, .. } = self.liveness;
        let silence = (self.last_event.max(passing) + self.longest_silence()).max(doubted_until);
        let answered_by = |since: Instant| (since.max(passing) + ACKNOWLEDGEMENT_TIMEOUT).max(doubted_until);
        let acknowledgement = self.oldest_unanswered(published).map(answered_by);
        if now >= silence {
            return Err(Lost::new(format!("nothing heard for {} s", self.longest_silence().as_secs())));
        }
        if acknowledgement.is_some_and(|at| now >= at) {
            return Err(Lost::new(format!("no acknowledgement for {} s", ACKNOWLEDGEMENT_TIMEOUT.as_secs())));
        }
        let is_starved = self.inbound.is_starved;
        if is_starved && !self.is_leaving && self.inbound.is_settled() {
            // after the last acknowledgement: an unacknowledged message would come again
            self.is_leaving = self.publisher.leave();
        }
        if overdue.is_some_and(|at| now > at) {
            return Err(Lost::new("the broker takes nothing, and a message would leave after its deadline"));
        }
        let longest = now + if is_starved { STARVED_WAIT } else { ACKNOWLEDGEMENT_TIMEOUT };
        let next = [acknowledgement, overdue].into_iter().flatten().fold(silence.min(longest), Instant::min);
        Ok(next.saturating_duration_since(now).max(SHORTEST_WAIT))
    }

    fn longest_silence(&self) -> Duration {
        2 * self.connection.connack.terms.keepalive + GRACE
    }

    /// Since when the oldest packet is unanswered, given that of publishes.
    fn oldest_unanswered(&self, published: Option<Instant>) -> Option<Instant> {
        let releasing = if let Stage::Releasing { since, .. } = self.stage { Some(since) } else { None };
        [releasing, self.subscriber.oldest_unanswered(), published].into_iter().flatten().min()
    }
}
