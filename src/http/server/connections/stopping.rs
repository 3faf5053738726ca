//! What a stop of the server asks of its connections.

use std::sync::atomic::Ordering;

use super::Connections;
use super::connection::ConnectionId;

impl Connections {
    /// Makes each further reply the last on its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the next reply on this connection is its last because the server stops.
    pub fn is_last(&self, id: Option<ConnectionId>) -> bool {
        if !self.draining.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.lock();
        id.is_none_or(|id| state.get(id).is_none_or(|connection| connection.pipelined.is_empty()))
    }
}
