//! The memory that a request takes from what all requests share.

use super::Exchange;
use crate::http::reply::Reply;
use crate::memory::{Full, Memory, Share};

impl Exchange {
    /// Makes the request take its memory from this part of the shared memory. To be called before it takes any.
    pub fn charge(&mut self, memory: &Memory) {
        self.share = memory.nothing();
    }

    /// Takes this many bytes in all, whatever was taken before. If there is no room, the request keeps what it had.
    pub fn make_room(&mut self, bytes: usize) -> Result<(), Full> {
        self.share.resize(bytes)
    }

    /// Takes this many bytes in all, and hands them over to what the request asks for.
    pub fn hand_over_room(&mut self, bytes: usize) -> Result<Share, Full> {
        self.make_room(bytes)?;
        Ok(self.split_room(bytes))
    }

    /// Hands over this many of the bytes that it takes.
    pub fn split_room(&mut self, bytes: usize) -> Share {
        self.share.split(bytes)
    }

    /// The reply if there is memory for it, or else a short one.
    pub(in crate::http::server) fn fit(&mut self, reply: Reply, instead: impl FnOnce() -> Reply) -> Reply {
        // twice: the reply, and its serialized form
        if reply.is_short() || self.make_room(2 * reply.size()).is_ok() { reply } else { instead() }
    }

    /// The same for a reply to a request that publishes nothing, which may take memory from a reserve: it may show why
    /// others find no room.
    pub(in crate::http::server) fn fit_in_reserve(&mut self, reply: Reply) -> Reply {
        if reply.is_short() {
            return reply;
        }
        let mut share = self.acceptor.connections.memory.nothing();
        let fitting = share.resize_in_reserve(2 * reply.size());
        self.share = share;
        fitting.map_or_else(|_| Reply::document_without_room(), |()| reply)
    }
}
