//! The body of a request: read piece by piece, to its end and no further.

use std::io::{self, ErrorKind, Read};
use std::thread::sleep;
use std::time::Duration;

use super::Exchange;
use crate::http::reply::Reply;
use crate::http::server::connections::Cut;
use crate::http::server::request::Head;
use crate::http::server::request::chunks::Chunks;
use crate::http::server::request::decoded_chunks::{BUFFERED, DecodedChunks};
use crate::http::server::request::framing::{has_whole_body, is_upgrade};
use crate::http::server::response::write::is_disconnected;
use crate::memory::Full;

/// How much of a body is read, and how much memory it gets, at a time. In bytes.
const PIECE: usize = 16 * 1024;
/// How long the rest of what a client has sent may take to arrive.
const SETTLING: Duration = Duration::from_millis(50);

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
        let is_broken_off = self.is_broken_off(&decoder, cut);
        let read = match &mut decoder {
            Decoder::Decoded(chunks) if !is_broken_off => {
                read.and_then(|()| chunks.require_trailer(|| self.chunks_follow()))
            }
            _ => read,
        };
        let is_whole =
            read.is_ok() && !is_broken_off && announced.map_or(body.len() <= max, |length| body.len() == length);
        if is_whole && !decoder.may_leave_trailers() {
            self.unread = false;
        }
        if is_chunked {
            // another server or proxy may see the end of the chunks elsewhere than tiny_http
            self.set_last();
        }
        match (read, announced) {
            _ if is_whole => Ok(body),
            (read, _) if read.is_err() || cut.is_some() => Err(refusal(&read, cut)),
            (_, Some(length)) => Err(Reply::invalid(format!("the body ended after {} of {length} bytes", body.len()))),
            (_, None) if body.len() > max => Err(Reply::body_too_large(max)),
            (_, None) => Err(Reply::chunks_cut_off()),
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

    /// Whether the chunks ended before the last one.
    fn is_broken_off(&self, decoder: &Decoder, cut: Option<Cut>) -> bool {
        match decoder {
            Decoder::Identity => false,
            // at the end of the connection tiny_http takes a part of a chunk for the last one. It looks the same when a
            // client has sent all and ends its direction at once; such a client should send the length instead
            Decoder::Decoded(_) => cut.is_some() || self.is_at_end(),
            Decoder::Raw(chunks) => !chunks.are_complete(),
        }
    }

    /// Whether tiny_http's decoder returns data of further chunks behind an error.
    fn chunks_follow(&mut self) -> bool {
        sleep(SETTLING);
        let is_all_read = self.connection.is_some_and(|id| self.acceptor.connections.end_reading(id));
        let Some(request) = self.request.as_mut().filter(|_| is_all_read) else { return true };
        let reader = request.as_reader();
        (0..=BUFFERED).any(|_| reader.read(&mut [0; 64]).is_ok())
    }

    /// Whether the client has ended its direction and all was read. Not known on a Unix socket.
    pub(super) fn is_at_end(&self) -> bool {
        self.connection.is_some_and(|id| self.acceptor.connections.is_at_end(id))
    }
}

/// The refusal of a body that could not be read or was cut short.
fn refusal(read: &io::Result<()>, cut: Option<Cut>) -> Reply {
    let full = read.as_ref().err().and_then(|error| error.get_ref()?.downcast_ref::<Full>());
    match (full, cut, read) {
        (Some(full), _, _) => Reply::from(*full),
        (None, Some(Cut::Evicted), _) => Reply::busy(),
        (None, Some(Cut::Late), _) => Reply::request_timeout(),
        (None, None, Err(error)) if error.kind() != ErrorKind::UnexpectedEof => {
            Reply::invalid(format!("the body could not be read: {error}"))
        }
        (None, None, _) => Reply::chunks_cut_off(),
    }
}

/// How the data of a body is separated from its framing.
enum Decoder {
    /// There is no framing: the length is known, or there is no body.
    Identity,
    /// Chunks that tiny_http decodes.
    Decoded(DecodedChunks),
    /// Chunks that tiny_http does not decode, since it treats the rest of the connection as another protocol.
    Raw(Chunks),
}

impl Decoder {
    fn new(head: Head, has_address: bool) -> Self {
        if head.body_length().is_some() || has_whole_body(head) {
            Self::Identity
        } else if is_upgrade(head) {
            Self::Raw(Chunks::default())
        } else {
            // on a Unix socket the end of the connection cannot be told from trailers
            Self::Decoded(DecodedChunks::new(has_address, head.has("Trailer")))
        }
    }

    /// Whether a part of it may still be to come.
    fn may_leave_trailers(&self) -> bool {
        matches!(self, Self::Decoded(chunks) if chunks.has_trailer())
    }
}

/// Reads the data of a body.
struct Source<'a> {
    decoder: &'a mut Decoder,
    reader: &'a mut dyn Read,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.decoder {
            Decoder::Identity => self.reader.read(buffer),
            Decoder::Decoded(chunks) => chunks.read(self.reader, buffer),
            Decoder::Raw(chunks) => chunks.read(self.reader, buffer),
        }
    }
}
