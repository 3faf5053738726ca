//! The body of a request: read piece by piece, to its end and no further.

use std::io::{self, ErrorKind, Read};

use super::Exchange;
use super::decoder::{Decoder, Source};
use crate::http::reply::Reply;
use crate::http::server::connections::Cut;
use crate::http::server::response::write::is_disconnected;
use crate::memory::Full;

/// How much of a body is read, and how much memory it gets, at a time. In bytes.
const PIECE: usize = 16 * 1024;

impl Exchange {
    /// Reads the whole body, at most `max` bytes. A larger `Content-Length` is refused without reading the body.
    pub fn body(&mut self, max: usize) -> Result<Vec<u8>, Reply> {
        let Some(head) = self.head() else { return Err(Reply::busy()) };
        let announced = head.body_length();
        if announced.is_some_and(|length| length > max) {
            return Err(Reply::body_too_large(max));
        }
        let mut decoder = Decoder::new(head, self.connection.is_some());
        let is_chunked = !matches!(decoder, Decoder::Identity);
        // one byte more than is allowed, to find out whether chunks are too long. Never reads to the end of the
        // connection, which for some requests is the only end that tiny_http knows
        let limit = announced.unwrap_or(if is_chunked { max + 1 } else { 0 });
        let mut body = Vec::new();
        let read = self.read(&mut decoder, limit, &mut body);
        // the message may wait for the broker
        body.shrink_to_fit();
        if self.unread {
            // takes less than before, or nothing can be done about it
            let _ = self.make_room(body.capacity());
        }
        let cut = self.finish_body(body.len(), read.as_ref().err());
        let read = read.and_then(|()| self.require_end(&mut decoder, cut));
        let is_whole = read.is_ok() && announced.map_or(body.len() <= max, |length| body.len() == length);
        if is_whole && !decoder.may_leave_trailers() {
            self.unread = false;
        }
        if is_chunked {
            // another server or proxy may see the end of the chunks elsewhere than tiny_http
            self.set_last();
        }
        match (read, announced) {
            _ if is_whole => Ok(body),
            (Ok(()), Some(length)) if cut.is_none() => {
                Err(Reply::invalid(format!("the body ended after {} of {length} bytes", body.len())))
            }
            (_, None) if cut.is_none() && body.len() > max => Err(Reply::body_too_large(max)),
            (read, _) => Err(refusal(read.as_ref().err(), cut)),
        }
    }

    /// Reads up to `limit` bytes, piece by piece: bytes that are only announced take no memory.
    fn read(&mut self, decoder: &mut Decoder, limit: usize, body: &mut Vec<u8>) -> io::Result<()> {
        while body.len() < limit {
            let piece = PIECE.min(limit - body.len());
            self.grow(body, piece, limit - body.len())?;
            let Some(request) = &mut self.request else { break };
            let source = Source { decoder, reader: request.as_reader() };
            if source.take(piece as u64).read_to_end(body)? < piece {
                break;
            }
        }
        Ok(())
    }

    /// Makes room for the next piece, and reserves the memory.
    fn grow(&mut self, body: &mut Vec<u8>, piece: usize, left: usize) -> io::Result<()> {
        let before = body.capacity();
        if before - body.len() < piece {
            // tiny_http reads into a buffer as large as its own without copying, and not a byte beyond the body
            body.reserve_exact(piece.max(body.len()).min(left));
        }
        let grown = body.capacity() - before;
        // there are no more bodies that came with their heads than workers
        if grown == 0 || !self.unread {
            return Ok(());
        }
        if let Some(connection) = self.connection {
            self.acceptor.connections.reserve_for_body(connection, grown);
        }
        self.make_room(body.capacity()).map_err(|full| io::Error::new(ErrorKind::OutOfMemory, full))
    }

    /// Records that reading the body is over, after this many bytes. Tells whether it was cut short by us.
    fn finish_body(&self, read: usize, error: Option<&io::Error>) -> Option<Cut> {
        let (connections, connection) = (&self.acceptor.connections, self.connection?);
        // what came with the head is accounted for
        let cut = connections.finish_body(connection, if self.unread { read } else { 0 });
        if error.is_some_and(is_disconnected) {
            connections.set_reset(connection);
        }
        cut
    }
}

/// The refusal of a body that could not be read or was cut short.
fn refusal(error: Option<&io::Error>, cut: Option<Cut>) -> Reply {
    let full = error.and_then(|error| error.get_ref()?.downcast_ref::<Full>());
    match (full, cut, error) {
        (Some(full), _, _) => Reply::from(*full),
        (None, Some(Cut::Evicted), _) => Reply::busy(),
        (None, Some(Cut::Late), _) => Reply::request_timeout(),
        (None, None, Some(error)) if error.kind() != ErrorKind::UnexpectedEof => {
            Reply::invalid(format!("the body could not be read: {error}"))
        }
        (None, None, _) => Reply::chunks_cut_off(),
    }
}
