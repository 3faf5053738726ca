//! Ends connections, whose sockets have to be found first, since tiny_http does not show them.

use std::net::Shutdown;

use super::Connections;
use super::connection::{Connection, ConnectionId, End, MAX_PIPELINED};
use crate::http::server::sockets::SocketId;

impl Connections {
    /// Serves no further request of a connection, those that are pipelined already included.
    pub fn end(&self, id: ConnectionId) {
        if let Some(connection) = self.lock().get_mut(id) {
            connection.ended = true;
        }
    }

    /// Records that the client has reset the connection.
    pub fn set_reset(&self, id: ConnectionId) {
        // of two with the same address, the reaper finds out which one is still open
        if let Some(connection) = self.lock().get_mut(id).filter(|connection| !connection.is_shared) {
            (connection.ended, connection.end) = (true, End::Reset);
        }
    }

    /// Ends a connection, writes a last reply as far as its socket takes it at once, and closes the socket.
    pub fn close(&self, id: ConnectionId, reply: &[u8]) {
        self.end(id);
        let sockets = self.sockets_of(id);
        if sockets.is_empty() {
            self.set_reset(id);
        }
        for socket in sockets {
            self.sockets.close(socket, Shutdown::Both, reply);
        }
    }

    /// Closes all connections with the address of this one.
    pub fn close_all(&self, id: ConnectionId) {
        self.end(id);
        for socket in self.sockets.find_all(id.address) {
            self.sockets.close(socket, Shutdown::Both, &[]);
        }
    }

    /// Closes the connection that has this address now: it has sent more requests than are kept unattributed.
    pub(super) fn close_flooding(&self, id: ConnectionId) {
        log::debug!("{} is ended: more than {MAX_PIPELINED} requests pipelined", id.address);
        for socket in self.sockets.find_all(id.address) {
            if let Some(connection) = self.lock().get_mut(id) {
                connection.flooding = Some(socket);
            }
            self.sockets.close(socket, Shutdown::Both, &[]);
        }
    }

    /// Whether the client has ended its direction and all of it was read.
    pub fn is_at_end(&self, id: ConnectionId) -> bool {
        let sockets = self.sockets_of(id);
        sockets.is_empty() || sockets.into_iter().any(|socket| self.sockets.is_at_end(socket))
    }

    /// Whether two connections with this address are open at once, by a scan of all sockets.
    pub fn shares_address(&self, id: ConnectionId) -> bool {
        let mut cookies = self.sockets.find_all(id.address).map(|socket| socket.cookie);
        let is_shared = self.lock().is_shared(id);
        is_shared || cookies.next().is_some_and(|first| cookies.any(|cookie| cookie != first))
    }

    /// The socket of a connection, or the sockets of all with its address if they cannot be told apart: what closes one
    /// then closes the others.
    pub(super) fn sockets_of(&self, id: ConnectionId) -> Vec<SocketId> {
        if self.lock().is_shared(id) {
            return self.sockets.find_all(id.address).collect();
        }
        self.socket_of(id).into_iter().collect()
    }

    /// The socket of a connection, as the reaper has found it, or by a scan of all sockets.
    pub(super) fn socket_of(&self, id: ConnectionId) -> Option<SocketId> {
        match self.lock().get(id)? {
            Connection { socket: Some(socket), .. } => return Some(*socket),
            // a socket with its address is another connection's
            Connection { end: End::Reset, .. } => return None,
            _ => {}
        }
        let socket = self.sockets.find_all(id.address).next()?;
        let mut state = self.lock();
        let connection = state.get_mut(id).filter(|connection| connection.may_have(socket))?;
        // lets later requests with this address be told from those of this connection
        connection.set_socket(socket);
        Some(socket)
    }
}
