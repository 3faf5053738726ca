//! SUBSCRIBE and UNSUBSCRIBE packets on their way: they take packet identifiers as messages do.

use std::time::Instant;

use super::Publisher;
use crate::mqtt::protocol::PACKET_IDENTIFIERS;
use crate::mqtt::session::subscriptions::Operation;

/// Messages and operations get packet identifiers alternately while both wait for one, so that neither waits without
/// end.
#[derive(Default)]
pub struct Alternation {
    /// An operation found no free packet identifier.
    operation_waits: bool,
    /// The last one went to an operation.
    pub operation_was_last: bool,
}

impl Alternation {
    /// Whether a message may have the next one.
    pub fn is_for_messages(&self) -> bool {
        !self.operation_waits || self.operation_was_last
    }
}

impl Publisher {
    /// Hands over an operation. Returns the ordinal of its packet identifier, which is free again when the broker has
    /// [`Self::answered`]; `None` where the connection does not take it now.
    pub(in crate::mqtt) fn hand_over(&self, operation: &Operation) -> Option<u64> {
        let mut state = self.lock();
        let (sender, limits) = state.connection.as_ref()?;
        if !state.table.packet_identifiers.has_free(limits.receive_maximum.clamp(1, PACKET_IDENTIFIERS)) {
            state.alternation.operation_waits = true;
            return None;
        }
        let handed_over = match operation {
            Operation::Subscribe(filters, identifier) => sender.subscribe(filters, *identifier),
            Operation::Unsubscribe(filter) => sender.unsubscribe(filter),
        };
        handed_over.ok()?;
        state.alternation = Alternation { operation_waits: false, operation_was_last: true };
        Some(state.table.packet_identifiers.take())
    }

    /// No operation waits any more.
    pub(in crate::mqtt) fn all_handed_over(&self) {
        self.with_state(|state| {
            state.alternation.operation_waits = false;
            self.0.dispatch(state, Instant::now());
        });
    }

    /// The broker has answered the operation with this ordinal.
    pub(in crate::mqtt) fn answered(&self, ordinal: u64) {
        self.with_state(|state| {
            state.table.packet_identifiers.release(ordinal);
            self.0.dispatch(state, Instant::now());
        });
    }
}
