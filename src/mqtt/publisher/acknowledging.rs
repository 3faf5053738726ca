//! Acknowledgements of received messages.

use super::{Publisher, State};

impl Publisher {
    /// Acknowledges a received message, but only on the connection on which it came: on another one its packet
    /// identifier may belong to another message. Returns whether that connection is still there.
    pub(in crate::mqtt) fn acknowledge(&self, connection: u64, packet_identifier: u16, qos: u8) -> bool {
        let mut state = self.lock();
        let is_there = state.connection.is_some() && state.connections == connection;
        if is_there {
            state.unsent.push_back((packet_identifier, qos));
            state.send_acknowledgements();
        }
        is_there
    }

    /// Hands over acknowledgements that found no room before.
    pub(in crate::mqtt) fn send_acknowledgements(&self) {
        self.lock().send_acknowledgements();
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
