//! Bodies that are being read, which share a bounded amount of memory.

use std::mem;
use std::net::Shutdown;
use std::time::Instant;

use super::Connections;
use super::connection::{Body, Connection, ConnectionId, Cut};

/// The most bytes of memory for bodies that are being read. It is more where two of the longest would not fit.
pub const MAX_RESERVED: usize = 64 * 1024 * 1024;

impl Connections {
    /// Reserves memory for the next bytes of a body. If there is too little, the bodies with the earliest deadlines are
    /// cut short.
    pub fn reserve_for_body(&self, id: ConnectionId, bytes: usize) {
        let mut state = self.lock();
        let Some(connection) = state.get_mut(id) else { return };
        let body = connection.body.get_or_insert_with(|| Body { since: Instant::now(), reserved: 0, cut: None });
        body.reserved += bytes;
        state.reserved += bytes;
        let mut evicted = Vec::new();
        while state.reserved > self.max_reserved {
            let has_memory =
                |connection: &&mut Connection| connection.body.as_ref().is_some_and(|body| body.reserved > 0);
            let earliest = state.table.values_mut().filter(has_memory).min_by_key(|connection| connection.deadline);
            let Some(Connection { id, body: Some(body), .. }) = earliest else { break };
            evicted.push(*id);
            body.cut = body.cut.or(Some(Cut::Evicted));
            let freed = mem::take(&mut body.reserved);
            state.reserved -= freed;
        }
        drop(state);
        for socket in evicted.into_iter().flat_map(|id| self.sockets_of(id)) {
            self.sockets.close(socket, Shutdown::Read, &[]);
        }
    }

    /// Records that reading a body is over, with this many bytes more than were accounted for. Tells whether it was cut
    /// short.
    pub fn finish_body(&self, id: ConnectionId, read: usize) -> Option<Cut> {
        let mut state = self.lock();
        state.get_mut(id)?.accounted += read as u64;
        state.take_body(id)?.cut
    }

    /// Ends the client's direction. Returns whether all that came was read.
    pub fn end_reading(&self, id: ConnectionId) -> bool {
        let socket = self.socket_of(id).filter(|_| !self.lock().is_shared(id));
        let Some(socket) = socket else { return false };
        let is_all_read = socket.unread() == 0;
        self.sockets.close(socket, Shutdown::Read, &[]);
        is_all_read
    }
}
