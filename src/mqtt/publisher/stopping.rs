//! The steps of a stop, and waiting for them.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Publisher, State};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::client::{QueueFull, Sender};
use crate::mqtt::session::lifecycle::Lifecycle;

/// How long a DISCONNECT may wait for room in the MQTT client's queue, and how often it is tried.
const DISCONNECTING: Duration = Duration::from_millis(200);
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

impl Publisher {
    /// After [`Self::stop_accepting`]: waits until everything accepted is settled, less the messages of the outbox that
    /// are not with the connection. At the deadline the rest is settled as not sent or unknown.
    pub fn drain(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        drop(self.0.changed.wait_timeout_while(self.lock(), left, |state| !state.table.is_drained()));
        self.with_state(|state| state.table.stop());
    }

    /// Accepts nothing more.
    pub fn stop_accepting(&self) {
        self.lock().lifecycle = Lifecycle::Draining;
    }

    /// Lets the connection end with a DISCONNECT after what was handed over.
    /// Returns false if there is none, and so nothing to wait for.
    #[must_use]
    pub fn disconnect(&self) -> bool {
        self.end();
        // acknowledgements may fill the MQTT client's queue for a moment
        self.hand_over_by(Instant::now() + DISCONNECTING, |sender| sender.disconnect())
    }

    /// Hands over a SUBSCRIBE and then UNSUBSCRIBEs at the end of a connection, without waiting for answers. Returns
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

    /// Ends the MQTT thread and the clock thread, if [`Self::disconnect`] has not.
    pub fn end(&self) {
        self.lock().lifecycle = Lifecycle::Ended;
        self.0.changed.notify_all();
        self.0.clock.wake_at(Some(Instant::now()));
    }

    /// Ends the current connection with a DISCONNECT after all acknowledgements. Returns false if there is no room for
    /// that yet.
    pub(in crate::mqtt) fn leave(&self) -> bool {
        let mut state = self.lock();
        state.send_acknowledgements();
        state.unsent.is_empty() && state.connection.as_ref().is_some_and(|(sender, _)| sender.disconnect().is_ok())
    }

    /// Whether a stop has begun.
    pub(in crate::mqtt) fn is_stopping(&self) -> bool {
        self.lock().lifecycle != Lifecycle::Running
    }

    /// Whether the connection is to end.
    pub(in crate::mqtt) fn is_ending(&self) -> bool {
        self.lock().lifecycle == Lifecycle::Ended
    }

    /// Waits for the given time, or until the connection is to end: then it returns true.
    pub(in crate::mqtt) fn pause(&self, duration: Duration) -> bool {
        self.announce(Instant::now(), duration);
        let is_running = |state: &mut State| state.lifecycle != Lifecycle::Ended;
        let waited = self.0.changed.wait_timeout_while(self.lock(), duration, is_running);
        waited.unwrap_or_else(PoisonError::into_inner).0.lifecycle == Lifecycle::Ended
    }
}
