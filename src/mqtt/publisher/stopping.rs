//! How a stop goes, step by step, and whoever waits for that.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Publisher, Stage};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::client::{QueueFull, Sender};

/// How long a DISCONNECT may wait for a place in the library's queue, and how often such a place is looked for.
const DISCONNECTING: Duration = Duration::from_millis(200);
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

impl Publisher {
    /// Accepts nothing more, and waits until everything accepted is settled, or the deadline has come: then the rest
    /// is settled as what it is.
    pub fn drain(&self, deadline: Instant) {
        let mut state = self.lock();
        state.stage = Stage::Draining;
        self.0.changed.notify_all();
        while state.table.unsettled() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.with_state(|state| state.table.stop());
    }

    /// Accepts nothing more.
    pub fn stop_accepting(&self) {
        self.lock().stage = Stage::Draining;
    }

    /// Lets the connection end with a DISCONNECT after what was handed over.
    /// Returns false if there is none, and so nothing to wait for.
    #[must_use]
    pub fn disconnect(&self) -> bool {
        self.end();
        // acknowledgements may fill the library's queue for a moment
        self.hand_over_by(Instant::now() + DISCONNECTING, |sender| sender.disconnect())
    }

    /// Hands over a SUBSCRIBE and then UNSUBSCRIBEs whose answers nobody awaits, at the end of a connection. Returns
    /// whether there was room for all by the deadline.
    pub(in crate::mqtt) fn leave_session(
        &self,
        wanted: &[(TopicFilter, Qos)],
        unwanted: &[TopicFilter],
        deadline: Instant,
    ) -> bool {
        (wanted.is_empty() || self.hand_over_by(deadline, |sender| sender.subscribe(wanted, None)))
            && unwanted.iter().all(|filter| self.hand_over_by(deadline, |sender| sender.unsubscribe(filter)))
    }

    /// Hands something over, if there is a connection and room for it by the deadline.
    fn hand_over_by(&self, deadline: Instant, hand_over: impl Fn(&dyn Sender) -> Result<(), QueueFull>) -> bool {
        let mut state = self.lock();
        loop {
            let taken = state.connection.as_ref().map(|(sender, _)| hand_over(sender.as_ref()).is_ok());
            if taken != Some(false) || Instant::now() > deadline {
                return taken == Some(true);
            }
            state = self.0.changed.wait_timeout(state, QUEUE_PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the threads of the connection end, if [`Self::disconnect`] has not.
    pub fn end(&self) {
        self.lock().stage = Stage::Ending;
        self.0.changed.notify_all();
    }

    /// Lets the current connection end with a DISCONNECT behind all acknowledgements. Returns false if it does not take
    /// one yet.
    pub(in crate::mqtt) fn leave(&self) -> bool {
        let mut state = self.lock();
        state.send_acknowledgements();
        state.unsent.is_empty() && state.connection.as_ref().is_some_and(|(sender, _)| sender.disconnect().is_ok())
    }

    /// Whether a stop has begun.
    pub(in crate::mqtt) fn is_stopping(&self) -> bool {
        self.lock().stage != Stage::Running
    }

    /// Whether the connection is to end.
    pub(in crate::mqtt) fn is_ending(&self) -> bool {
        self.lock().stage == Stage::Ending
    }

    /// Waits for the given time, less if the connection is to end: then it returns true.
    pub(in crate::mqtt) fn pause(&self, duration: Duration) -> bool {
        let now = Instant::now();
        self.announce(now, duration);
        let deadline = now + duration;
        let mut state = self.lock();
        while state.stage != Stage::Ending {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stage == Stage::Ending
    }
}
