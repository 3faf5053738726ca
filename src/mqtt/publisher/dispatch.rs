//! What is handed over to the connection: messages that were checked against the broker's limits.

use std::time::Instant;

use super::too_large::Size;
use super::{Shared, State};
use crate::config::Protocol;
use crate::message::Message;
use crate::mqtt::client::packet_size;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::Limits;
use crate::mqtt::session::lifecycle::Lifecycle;

impl Shared {
    /// Hands over the messages that the connection takes now.
    pub(super) fn dispatch(&self, state: &mut State, now: Instant) {
        let Some((sender, limits)) = &state.connection else { return };
        state.table.expire(now);
        while let Some(message) = state.table.next(now).filter(|_| state.alternation.is_for_messages()) {
            let failure = self.check(message, *limits).err();
            match failure.or_else(|| state.too_large.refuses(self.size(message), now)) {
                Some(failure) => state.table.refuse(failure),
                None if sender.publish(message).is_ok() => {
                    state.table.hand_over(now);
                    state.alternation.operation_was_last = false;
                }
                // the queue has room again when the connection has made its next step
                None => break,
            }
        }
    }

    /// Refuses a message that no broker can get, or in another phase than this one.
    pub(super) fn admit(&self, message: &Message, state: &State, phase: Lifecycle) -> Result<(), Failure> {
        self.check(message, Limits::default())?;
        if state.lifecycle == phase { Ok(()) } else { Err(Failure::Stopping) }
    }

    /// Refuses a message that a broker with these limits does not accept.
    pub(super) fn check(&self, message: &Message, limits: Limits) -> Result<(), Failure> {
        let (size, limit) =
            (packet_size(self.settings.protocol, message), self.max_packet_size.min(limits.max_packet_size));
        Err(match () {
            () if self.settings.protocol == Protocol::V311 && !message.properties.is_empty() => {
                Failure::PropertiesNotSupported
            }
            () if message.retain && !limits.retain_available => Failure::RetainNotSupported,
            () if message.qos as u8 > limits.max_qos => Failure::QosNotSupported(limits.max_qos),
            () if u32::try_from(size).is_ok_and(|size| size <= limit) => return Ok(()),
            () => Failure::PacketTooLarge { size, limit },
        })
    }

    pub(super) fn size(&self, message: &Message) -> Size {
        Size { packet: packet_size(self.settings.protocol, message), payload: message.payload.len() }
    }
}
