//! What is handed over to the connection: messages, operations (SUBSCRIBE and UNSUBSCRIBE packets), and
//! acknowledgements of received messages in their order.

use std::time::Instant;

use super::too_large::{KEPT_FOR, Size, TooLarge};
use super::{Publisher, Shared, State};
use crate::config::Protocol;
use crate::message::Message;
use crate::mqtt::client::packet_size;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::{Limits, PACKET_IDENTIFIERS};
use crate::mqtt::reason::PACKET_TOO_LARGE;
use crate::mqtt::session::subscriptions::Operation;

/// Messages and operations get packet identifiers alternately while both wait for one, so that neither waits without
/// end.
#[derive(Default)]
pub(super) struct Alternation {
    /// An operation found no free packet identifier.
    operation_waits: bool,
    /// The last one went to an operation.
    operation_was_last: bool,
}

impl Alternation {
    /// Whether a message may have the next one.
    fn is_for_messages(&self) -> bool {
        !self.operation_waits || self.operation_was_last
    }
}

impl State {
    /// In the order in which the messages came (MQTT 5, 4.6.0-2).
    pub(super) fn send_acknowledgements(&mut self) {
        let Some((sender, _)) = &self.connection else { return };
        while let Some((packet_identifier, qos)) = self.unsent.front() {
            if sender.acknowledge(*packet_identifier, *qos).is_err() {
                return;
            }
            self.unsent.pop_front();
        }
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
        Some(state.table.packet_identifiers.take(None))
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

impl Shared {
    /// Hands over the messages that the connection takes now.
    pub(super) fn dispatch(&self, state: &mut State, now: Instant) {
        let Some((sender, limits)) = &state.connection else { return };
        state.table.expire(now);
        while let Some(message) = state.table.next().filter(|_| state.alternation.is_for_messages()) {
            let check = self.check(message, *limits).and_then(|()| self.check_size(message, &state.too_large, now));
            match check {
                Err(failure) => state.table.refuse(failure),
                Ok(()) if sender.publish(message).is_ok() => {
                    state.table.hand_over(now);
                    state.alternation.operation_was_last = false;
                }
                // the queue has room again when the connection has made its next step
                Ok(()) => break,
            }
        }
    }

    /// The broker refused this message for its size: waiting messages that are no smaller are refused too.
    pub(super) fn learn(&self, state: &mut State, refused: &Message, now: Instant) {
        let State { too_large, table, .. } = state;
        let size = self.size(refused);
        too_large.learn(size, now);
        log::warn!(
            REASON_CODE = PACKET_TOO_LARGE;
            "the broker refuses an MQTT packet of {} bytes, and ends the connection over it: for {} minutes such messages \
             are refused without being sent",
            size.packet, KEPT_FOR.as_secs() / 60
        );
        table.refuse_all(|message| self.check_size(message, too_large, now).err());
    }

    /// Refuses a message of a size that the broker has refused.
    fn check_size(&self, message: &Message, too_large: &TooLarge, now: Instant) -> Result<(), Failure> {
        if too_large.is_empty() {
            return Ok(());
        }
        let size = self.size(message);
        let refused = too_large.refuses(size, now);
        refused.map_or(Ok(()), |refused| Err(Failure::TooLargeForBroker { size: size.packet, refused }))
    }

    fn size(&self, message: &Message) -> Size {
        Size { packet: packet_size(self.settings.protocol, message), payload: message.payload.len() }
    }

    /// Refuses a message that a broker with these limits does not accept.
    pub(super) fn check(&self, message: &Message, limits: Limits) -> Result<(), Failure> {
        let protocol = self.settings.protocol;
        let (size, limit) = (packet_size(protocol, message), self.max_packet_size.min(limits.max_packet_size));
        if protocol == Protocol::V311 && !message.properties.is_empty() {
            return Err(Failure::PropertiesNotSupported);
        }
        if message.retain && !limits.retain_available {
            return Err(Failure::RetainNotSupported);
        }
        if message.qos as u8 > limits.max_qos {
            return Err(Failure::QosNotSupported(limits.max_qos));
        }
        if u32::try_from(size).is_ok_and(|size| size <= limit) {
            Ok(())
        } else {
            Err(Failure::PacketTooLarge { size, limit })
        }
    }
}
