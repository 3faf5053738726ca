//! Which packet identifiers are in use on a connection.
//!
//! The MQTT client gives them in a fixed cycle, in the order of hand-over, without a look whether one is in use
//! (bytebeamio/rumqtt#1014). So each packet that takes one gets an ordinal here, and all ordinals in use lie within one
//! cycle.

use std::collections::BTreeMap;

use super::entry::Sequence;

#[derive(Default)]
pub struct PacketIdentifiers {
    /// With the message; `None` for a SUBSCRIBE or UNSUBSCRIBE.
    used: BTreeMap<u64, Option<Sequence>>,
    next: u64,
}

impl PacketIdentifiers {
    /// Whether the next one is free, where they begin again after `cycle`.
    pub fn has_free(&self, cycle: u16) -> bool {
        let oldest = self.used.keys().next().unwrap_or(&self.next);
        self.next - oldest < u64::from(cycle)
    }

    /// A packet was handed over, and takes the next one until [`Self::release`]. Returns its ordinal.
    pub fn take(&mut self, message: Option<Sequence>) -> u64 {
        self.used.insert(self.next, message);
        self.next += 1;
        self.next - 1
    }

    /// The packet identifier with this ordinal is free again.
    pub fn release(&mut self, ordinal: u64) {
        self.used.remove(&ordinal);
    }

    /// Whether a packet with this ordinal is unfinished on this connection.
    pub fn is_taken(&self, ordinal: u64) -> bool {
        self.used.contains_key(&ordinal)
    }

    /// The connection ended. Its ordinals do not come again.
    pub fn clear(&mut self) {
        self.used.clear();
    }

    /// The unfinished message that was handed over first.
    pub fn oldest_message(&self) -> Option<Sequence> {
        self.used.values().find_map(|message| *message)
    }
}
