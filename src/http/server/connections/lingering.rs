//! Lingering close (RFC 9112, 9.6): a request is refused while its client is still sending the body. If the connection
//! were closed at once, the client might get a reset and never read the reply.

use std::mem;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::Connections;
use super::connection::{ConnectionId, End};
use super::state::LingeringClose;
use crate::http::server::response::disposal::drop_unanswered;

/// How long a client may go on sending after its request was refused.
const LINGER: Duration = Duration::from_secs(2);

impl Connections {
    /// Refuses a request whose body is not read: writes the reply, discards what the client still sends, and closes the
    /// connection when the client ends its direction, or after a while.
    pub fn refuse(&self, id: ConnectionId, request: Request, reply: &[u8]) {
        let socket = self.socket_of(id);
        let end = if socket.is_some() { End::Refused } else { End::Reset };
        if let Some(connection) = self.lock().get_mut(id) {
            (connection.ended, connection.end) = (true, end);
        }
        if let Some(socket) = socket {
            self.sockets.close(socket, Shutdown::Write, reply);
        }
        let until = Instant::now() + LINGER;
        self.lock().lingering.push(LingeringClose { socket, until, connection: id, request });
        self.count_answered();
    }

    /// Closes the lingering connections whose clients have ended their direction or have had their time. Called by the
    /// reaper. Returns those connections.
    pub fn finish_lingering(&self, now: Instant) -> Vec<ConnectionId> {
        let lingering = mem::take(&mut self.lock().lingering);
        let mut finished = Vec::new();
        for refused in lingering {
            let may_send = refused.socket.is_some_and(|socket| self.sockets.discard_input(socket));
            if may_send && now < refused.until {
                self.lock().lingering.push(refused);
                continue;
            }
            if refused.socket.is_some_and(|socket| self.sockets.close(socket, Shutdown::Both, &[])) {
                drop_unanswered(refused.request);
            } else {
                // its client seems to have reset it. If not, dropping the request waits for the rest of the body, and
                // the reaper must not wait
                self.drop_in_pool(refused.request);
            }
            finished.push(refused.connection);
        }
        finished
    }
}
