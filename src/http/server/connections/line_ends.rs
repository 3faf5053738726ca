//! A line end behind a body, which some clients send and a server should ignore (RFC 9112, 2.2).
//!
//! tiny_http parses it as a request line, writes a 400 without a body behind the reply, and closes the connection: the
//! client would read that 400 as the reply to its next request. What tiny_http has in its buffer cannot be taken back,
//! and its parser cannot be changed. So a line end is discarded while it is still in the system's buffer and tiny_http
//! does not read from the connection: behind a body that we read, which is a long one or one with `Expect`. Behind any
//! other, the reply says `Connection: close`, and the client comes again on a new connection, whose first request is
//! served. What the client sends after the reply on the same connection still meets the 400.

use super::Connections;
use super::connection::ConnectionId;

/// Bytes of a line end: exactly this many came beyond the request.
const LINE_END: u64 = 2;
/// The most descriptors that are searched for the socket of a connection that the reaper has not seen yet. Searching
/// more takes longer than serving a request.
const MAX_SEARCHED: usize = 256;

impl Connections {
    /// Whether the reply should be the last on its connection because a line end follows the body. A client that sends
    /// none behind its first request is taken to send none later. `is_held`: tiny_http does not read from the
    /// connection.
    pub fn has_line_end_behind(&self, id: ConnectionId, is_held: bool) -> bool {
        let known = {
            let state = self.lock();
            let Some(connection) = state.get(id) else { return false };
            if connection.is_shared || (connection.started > 1 && !is_held) || !connection.pipelined.is_empty() {
                return false;
            }
            connection.socket
        };
        if known.is_none() && self.sockets.descriptors.fds().count() > MAX_SEARCHED {
            return false;
        }
        let Some(socket) = known.or_else(|| self.socket_of(id)) else { return false };
        let Some(received) = socket.received() else { return false };
        let mut state = self.lock();
        let Some(connection) = state.get_mut(id) else { return false };
        // white space that tiny_http drops counts as well; closing a connection is always allowed
        let is_behind = received == connection.accounted + LINE_END;
        if is_behind && is_held && self.sockets.skip_line_end(socket) {
            connection.accounted += LINE_END;
            return false;
        }
        is_behind
    }
}
