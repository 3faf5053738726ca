//! What is handed over to the connection: messages as it takes them, and acknowledgements in their order.

use std::time::Instant;

use super::{Shared, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::pipe::Limits;

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

impl Shared {
    /// Hands over what the connection takes now.
    pub(super) fn feed(&self, state: &mut State, now: Instant) {
        let Some((sender, limits)) = &state.connection else { return };
        state.table.expire(now);
        while let Some(message) = state.table.next() {
            match self.check(message, *limits) {
                Err(failure) => state.table.refuse(failure),
                Ok(()) if sender.publish(message).is_ok() => state.table.hand_over(now),
                // a place is free as soon as the connection has made its next step
                Ok(()) => break,
            }
        }
    }

    /// Whether a broker with these limits can be sent a message.
    pub(super) fn check(&self, message: &Message, limits: Limits) -> Result<(), Failure> {
        let (size, limit) = (self.version.packet_size(message), self.max_packet_size.min(limits.max_packet_size));
        if !self.version.has_properties() && !message.properties.is_empty() {
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
