//! Bodies that are being read, which share a bounded amount of memory.

use std::mem;
use std::time::Instant;

use super::Connections;
use super::connection::{Body, ConnectionId, Cut};

impl Connections {
    /// Reserves memory for the next bytes of a body. If there is too little, the bodies with the earliest deadlines are
    /// cut short.
    pub fn reserve_for_body(&self, id: ConnectionId, bytes: usize) {
        let mut state = self.lock();
        let Some(connection) = state.get_mut(id) else { return };
        let (since, deadline) = (Instant::now(), connection.deadline);
        connection.body.get_or_insert(Body { since, deadline, reserved: 0, cut: None }).reserved += bytes;
        state.reserved += bytes;
        let mut evicted = Vec::new();
        while state.reserved > self.max_reserved {
            let bodies = state.table.values_mut().filter_map(|connection| {
                let (id, socket) = (connection.id, connection.socket);
                connection.body.as_mut().filter(|body| body.reserved > 0).map(|body| (id, socket, body))
            });
            let Some((id, socket, body)) = bodies.min_by_key(|(_, _, body)| body.deadline) else { break };
            body.cut = body.cut.or(Some(Cut::Evicted));
            let freed = mem::take(&mut body.reserved);
            evicted.push((id, socket));
            state.reserved -= freed;
        }
        drop(state);
        for (id, socket) in evicted {
            let sockets = self.sockets_of(id);
            socket.into_iter().chain(sockets).for_each(|socket| self.sockets.close_read(socket));
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
        self.sockets.close_read(socket);
        is_all_read
    }
}
