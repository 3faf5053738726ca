//! Messages of the outbox.

use std::time::Instant;

use super::{Caller, Callers, OnWritten, Publisher, Shared, State};
use crate::config::Protocol;
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::Limits;
use crate::mqtt::session::in_flight::Waiting;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::suspensions::Suspensions;

/// A message of the outbox, without a message expiry interval.
pub struct StoredPublish {
    /// Its place in the outbox, of which the publisher has each at most once at a time.
    pub sequence: u64,
    /// What is published, at QoS 1 or 2.
    pub message: Message,
    /// Nothing of it is sent after this time, but for the PUBREL of a message that the broker has received.
    pub deadline: Instant,
    /// Called once when it is written for the first time.
    pub on_written: OnWritten,
    /// Gets the outcome, at the deadline at the latest.
    pub caller: Caller,
    /// See [`Callers::late`].
    pub late: Caller,
}

impl Publisher {
    /// Accepts messages of the outbox in their order, however many wait. In MQTT 5 what is left until the deadline is
    /// the message expiry interval of each, whenever it is sent: whole seconds, rounded up.
    pub fn publish_stored(&self, messages: impl IntoIterator<Item = StoredPublish>) {
        self.with_state(|state| {
            state.suspensions.get_or_insert_with(Suspensions::new);
            let now = Instant::now();
            for StoredPublish { sequence, message, deadline, on_written, caller, late } in messages {
                let message = self.0.with_expiry(message);
                let callers = Callers { caller, late: Some(late) };
                let waiting = Waiting { callers, on_written: Some(on_written), qos: message.qos, since: now };
                match self.0.admit(&message, state, Lifecycle::Running) {
                    Err(failure) => state.table.reject(waiting, failure),
                    Ok(()) => state.table.accept_stored(sequence, message, deadline, waiting),
                }
            }
            self.0.dispatch(state, now);
        });
    }

    /// Whether there is a connection that takes messages.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().table.window().is_some()
    }

    /// Has this called whenever a connection begins to take messages. Only the first one counts. It must not block.
    pub fn when_ready(&self, callback: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.on_ready.set(Box::new(callback));
    }

    /// Takes back the message at this place of the outbox if it was never handed over to a connection. Its callbacks
    /// are dropped uncalled. Returns whether it was taken back.
    #[must_use]
    pub fn withdraw_stored(&self, sequence: u64) -> bool {
        self.with_state(|state| state.table.withdraw(sequence))
    }

    /// The same for all of them. Returns their places in the outbox, in ascending order.
    #[must_use]
    pub fn withdraw_all_stored(&self) -> Vec<u64> {
        self.with_state(|state| state.table.withdraw_all())
    }

    /// Why this message cannot be published through the outbox: to no broker, or not to the one that is connected.
    #[must_use]
    pub fn refuses(&self, message: &Message) -> Option<Failure> {
        let message = self.0.with_expiry(message.clone());
        let state = self.lock();
        let limits = state.connection.as_ref().map_or_else(Limits::default, |(_, limits)| *limits);
        let refused = self.0.check(&message, limits).err();
        refused.or_else(|| state.too_large.refuses(self.0.size(&message), Instant::now()))
    }
}

impl State {
    /// Before anything is sent: while the machine was suspended, the time of messages of the outbox may have ended.
    pub(super) fn notice_suspension(&mut self) {
        let time = self.suspensions.as_mut().map(Suspensions::more).unwrap_or_default();
        if !time.is_zero() {
            self.table.suspended(time);
        }
    }
}

impl Shared {
    /// In MQTT 5 the table sets the message expiry interval at each hand-over. Here it only gets its place.
    fn with_expiry(&self, mut message: Message) -> Message {
        message.properties.message_expiry_interval = (self.settings.protocol == Protocol::V5).then_some(1);
        message
    }
}

#[cfg(test)]
mod tests;
