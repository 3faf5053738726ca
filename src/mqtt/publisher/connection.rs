//! Reports and questions of the MQTT thread about its connection.

use std::time::Instant;

use super::operations::Alternation;
use super::{Publisher, State};
use crate::mqtt::client::Sender;
use crate::mqtt::protocol::{Connack, Limits, Retransmission, Window};
use crate::mqtt::reason::PACKET_TOO_LARGE;
use crate::mqtt::session::in_flight::{Aftermath, Blame};

impl Publisher {
    /// A connection was made. It takes no messages before [`Self::ready`]. Returns its number.
    pub(in crate::mqtt) fn connected(&self, sender: Box<dyn Sender>, connack: &Connack) -> u64 {
        self.with_state(|state| {
            state.table.connected(connack.session_present);
            state.connection = Some((sender, connack.limits));
            state.history.connected(connack.terms.clone());
            state.connections += 1;
            state.connections
        })
    }

    /// Whether there is a connection.
    pub(in crate::mqtt) fn is_connected(&self) -> bool {
        self.lock().connection.is_some()
    }

    /// Connecting failed, or the connection ended.
    pub(in crate::mqtt) fn failed(&self, error: &str) {
        self.lock().history.failed(error);
    }

    /// What a resumed session may send again now; `None` if the session cannot be resumed.
    pub(in crate::mqtt) fn retransmissions(&self, receive_maximum: u16) -> Option<Vec<Retransmission>> {
        self.with_state(|state| state.table.retransmissions(receive_maximum, Instant::now()))
    }

    /// How many messages were sent and are not acknowledged.
    pub(in crate::mqtt) fn unacknowledged(&self) -> usize {
        self.lock().table.unacknowledged()
    }

    /// The connection takes no messages before the broker has done `what`.
    pub(in crate::mqtt) fn awaits(&self, what: &'static str) {
        self.lock().table.awaits(what);
    }

    /// The connection takes messages from now on, up to this window.
    pub(in crate::mqtt) fn ready(&self, window: Window) {
        self.with_state(|state| {
            state.table.ready(window);
            self.0.dispatch(state, Instant::now());
        });
        if let Some(on_ready) = self.0.on_ready.get() {
            on_ready();
        }
    }

    /// Holds messages back until the connection is [`Self::ready`] again.
    pub(in crate::mqtt) fn hold_back(&self) {
        self.lock().table.pause();
    }

    /// Nothing more is handed over to the connection.
    pub(in crate::mqtt) fn detach(&self) {
        let mut state = self.lock();
        state.connection = None;
        state.unsent.clear();
        state.alternation = Alternation::default();
        state.history.disconnected();
    }

    /// The connection ended, after everything that came on it was taken in.
    pub(in crate::mqtt) fn lost(&self, session_may_be_kept: bool, blame: Blame) -> Aftermath {
        self.with_state(|state| {
            let aftermath = state.table.lost(session_may_be_kept, blame);
            // a DISCONNECT may have been about something else
            let is_size = matches!(blame, Blame::Message { code: PACKET_TOO_LARGE, is_certain: true });
            if let Some(refused) = aftermath.refused.as_ref().filter(|_| is_size) {
                let (State { too_large, table, .. }, now) = (state, Instant::now());
                too_large.learn(self.0.size(refused), now);
                table.refuse_all(|message| too_large.refuses(self.0.size(message), now));
            }
            aftermath
        })
    }

    /// Since when the oldest unacknowledged message has been with the connection, and when one that was handed over,
    /// and not written, must not be sent any more.
    pub(in crate::mqtt) fn vital_times(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.lock();
        (state.table.oldest_unacknowledged(), state.table.overdue_at())
    }

    /// The MQTT client was interrupted. Returns whether it had a message.
    pub(in crate::mqtt) fn interrupt(&self) -> bool {
        self.lock().table.interrupt()
    }

    /// Gives up retransmissions that a broker with these limits does not accept. Returns whether there was any.
    pub(in crate::mqtt) fn give_up_retransmissions(&self, limits: Limits) -> bool {
        self.with_state(|state| state.table.give_up_retransmissions(|message| self.0.check(message, limits).is_ok()))
    }
}
