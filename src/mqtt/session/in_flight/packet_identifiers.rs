//! Which packet identifiers are in use on a connection.
//!
//! The MQTT client gives them in a fixed cycle, in the order of hand-over, without a look whether one is in use
//! (bytebeamio/rumqtt#1014). So each packet that takes one gets an ordinal here, and all ordinals in use lie within one
//! cycle.

use std::collections::{BTreeMap, HashSet};

use super::entry::Sequence;
use crate::message::Qos;
use crate::mqtt::protocol::Window;

#[derive(Default)]
pub struct PacketIdentifiers {
    /// With the message; `None` for a SUBSCRIBE or UNSUBSCRIBE.
    used: BTreeMap<u64, Option<Sequence>>,
    /// Those of messages at QoS 2.
    exactly_once: HashSet<u64>,
    next: u64,
}

impl PacketIdentifiers {
    /// Whether the next one is free, where they begin again after `cycle`.
    pub fn has_free(&self, cycle: u16) -> bool {
        let oldest = self.used.keys().next().unwrap_or(&self.next);
        self.next - oldest < u64::from(cycle)
    }

    /// Whether a message at this QoS can have one within the window, as far as that depends on its QoS.
    pub fn has_free_at(&self, qos: Qos, window: Window) -> bool {
        let is_within = qos != Qos::ExactlyOnce || self.exactly_once.len() < usize::from(window.exactly_once);
        is_within && self.has_free(window.cycle)
    }

    /// A SUBSCRIBE or UNSUBSCRIBE was handed over, and takes the next one until [`Self::release`]. Returns its ordinal.
    pub fn take(&mut self) -> u64 {
        self.insert(None)
    }

    /// The same of a message.
    pub fn take_for(&mut self, message: Sequence, qos: Qos) -> u64 {
        let ordinal = self.insert(Some(message));
        self.exactly_once.extend((qos == Qos::ExactlyOnce).then_some(ordinal));
        ordinal
    }

    /// The packet identifier with this ordinal is free again.
    pub fn release(&mut self, ordinal: u64) {
        self.used.remove(&ordinal);
        self.exactly_once.remove(&ordinal);
    }

    /// Whether a packet with this ordinal is unfinished on this connection.
    pub fn is_taken(&self, ordinal: u64) -> bool {
        self.used.contains_key(&ordinal)
    }

    /// The connection ended. Its ordinals do not come again.
    pub fn clear(&mut self) {
        self.used.clear();
        self.exactly_once.clear();
    }

    /// The unfinished message that was handed over first.
    pub fn oldest_message(&self) -> Option<Sequence> {
        self.used.values().find_map(|message| *message)
    }

    fn insert(&mut self, message: Option<Sequence>) -> u64 {
        self.used.insert(self.next, message);
        self.next += 1;
        self.next - 1
    }
}
