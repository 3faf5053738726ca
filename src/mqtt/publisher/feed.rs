//! What is handed over to the connection: messages as it takes them, and acknowledgements in their order.

use std::time::Instant;

use super::too_large::{KEPT_FOR, Size, TooLarge};
use super::{Publisher, Shared, State};
use crate::message::Message;
use crate::mqtt::outcome::Failure;
use crate::mqtt::protocol::{Limits, PACKET_IDENTIFIERS};
use crate::mqtt::reason::PACKET_TOO_LARGE;
use crate::mqtt::session::subscriptions::Operation;

/// Whose the next packet identifier is, where messages and what is asked of the broker wait for one.
#[derive(Default)]
pub(super) struct Turn {
    /// A question found none.
    is_awaited: bool,
    /// The last one was a question's.
    was_last: bool,
}

impl Turn {
    /// Whether a message may have it: they take turns, as neither ever ends where there is always one more.
    fn is_for_messages(&self) -> bool {
        !self.is_awaited || self.was_last
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
    /// Hands over what is to be asked of the broker. Returns the turn of its packet identifier, which is free again when
    /// the broker has [`Self::answered`]; `None` where the connection does not take it now.
    pub(in crate::mqtt) fn ask(&self, operation: &Operation) -> Option<u64> {
        let mut state = self.lock();
        let (sender, limits) = state.connection.as_ref()?;
        if !state.table.has_turn(limits.receive_maximum.clamp(1, PACKET_IDENTIFIERS)) {
            state.turn.is_awaited = true;
            return None;
        }
        let handed_over = match operation {
            Operation::Subscribe(filters, identifier) => sender.subscribe(filters, *identifier),
            Operation::Unsubscribe(filter) => sender.unsubscribe(filter),
        };
        handed_over.ok()?;
        state.turn = Turn { is_awaited: false, was_last: true };
        Some(state.table.reserve())
    }

    /// Nothing is to be asked any more that was not taken.
    pub(in crate::mqtt) fn all_asked(&self) {
        self.with_state(|state| {
            state.turn.is_awaited = false;
            self.0.feed(state, Instant::now());
        });
    }

    /// The broker has answered what had this turn.
    pub(in crate::mqtt) fn answered(&self, turn: u64) {
        self.with_state(|state| {
            state.table.release(turn);
            self.0.feed(state, Instant::now());
        });
    }
}

impl Shared {
    /// Hands over what the connection takes now.
    pub(super) fn feed(&self, state: &mut State, now: Instant) {
        let Some((sender, limits)) = &state.connection else { return };
        state.table.expire(now);
        while let Some(message) = state.table.next().filter(|_| state.turn.is_for_messages()) {
            let check = self.check(message, *limits).and_then(|()| self.check_size(message, &state.too_large, now));
            match check {
                Err(failure) => state.table.refuse(failure),
                Ok(()) if sender.publish(message).is_ok() => {
                    state.table.hand_over(now, |waiting| waiting.on_written.is_some());
                    state.turn.was_last = false;
                }
                // a place is free as soon as the connection has made its next step
                Ok(()) => break,
            }
        }
    }

    /// The broker refused this message for its size: whatever waits and is no smaller is settled.
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

    /// Whether the broker is not known to refuse a message for its size.
    fn check_size(&self, message: &Message, too_large: &TooLarge, now: Instant) -> Result<(), Failure> {
        if too_large.is_empty() {
            return Ok(());
        }
        let size = self.size(message);
        let refused = too_large.refuses(size, now);
        refused.map_or(Ok(()), |refused| Err(Failure::TooLargeForBroker { size: size.packet, refused }))
    }

    fn size(&self, message: &Message) -> Size {
        Size { packet: self.version.packet_size(message), payload: message.payload.len() }
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
