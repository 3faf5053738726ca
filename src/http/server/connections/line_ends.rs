//! Line ends behind a body, which some clients send and a server should ignore (RFC 9112, 2.2).
//!
//! `tiny_http` takes one for a request line, which is none: it writes a bare 400 behind the answer, and ends the
//! connection, so that the client finds that 400 in the place of its next answer. What it has in its buffer cannot be
//! taken back from outside, and no other way leads past its parser. So a line end is taken off the connection where it
//! still lies in the system's buffer and nobody else reads: behind a body that is read here, which is a long one, or
//! one that its client was asked for. Behind any other the answer says that it is the last, and the client comes again
//! on another connection, whose first request is served. What comes after the answer still meets the 400.

use super::{Client, Connections};
use crate::http::server::sockets::descriptors;

/// Bytes of a line end: they are all that came beyond the request.
const LINE_END: u64 = 2;
/// Descriptors among which a connection that the reaper has not yet seen is looked for. Where there are more, that costs
/// more than a request does.
const MAX_SEARCHED: usize = 256;

impl Connections {
    /// Whether an answer had better be the last on its connection, because a line end follows the body of its request.
    /// Whoever sends none behind the first sends none later. `is_held`: nobody else reads from the connection.
    pub fn has_line_end_behind(&self, client: Client, is_held: bool) -> bool {
        let known = {
            let state = self.lock();
            let Some(connection) = state.of(client) else { return false };
            if connection.is_shared || (connection.turns > 1 && !is_held) || !connection.followers.is_empty() {
                return false;
            }
            connection.place
        };
        if known.is_none() && self.sockets.numbers().count() > MAX_SEARCHED {
            return false;
        }
        let Some(place) = known.or_else(|| self.find(client)) else { return false };
        let Some(received) = descriptors::received(place.number) else { return false };
        let mut state = self.lock();
        let Some(connection) = state.of_mut(client) else { return false };
        // white space that tiny_http drops counts as well; to end a connection is never wrong
        let is_behind = received == connection.booked + LINE_END;
        if is_behind && is_held && self.sockets.skip_line_end(place) {
            connection.booked += LINE_END;
            return false;
        }
        is_behind
    }
}
