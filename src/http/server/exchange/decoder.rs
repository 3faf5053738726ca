//! How the data of a body is separated from its framing, and whether chunks are complete.

use std::io::{self, ErrorKind, Read};
use std::thread::sleep;
use std::time::Duration;

use super::Exchange;
use crate::http::server::connections::Cut;
use crate::http::server::request::Head;
use crate::http::server::request::chunks::Chunks;
use crate::http::server::request::decoded_chunks::{BUFFERED, DecodedChunks};
use crate::http::server::request::framing::{has_whole_body, is_upgrade};

/// How long the rest of what a client has sent may take to arrive.
const SETTLING: Duration = Duration::from_millis(50);

/// How the data of a body is separated from its framing.
pub enum Decoder {
    /// There is no framing: the length is known, or there is no body.
    Identity,
    /// Chunks that tiny_http decodes.
    Decoded(DecodedChunks),
    /// Chunks that tiny_http does not decode, since it treats the rest of the connection as another protocol.
    Raw(Chunks),
}

impl Decoder {
    pub fn new(head: Head, has_address: bool) -> Self {
        if head.body_length().is_some() || has_whole_body(head) {
            Self::Identity
        } else if is_upgrade(head) {
            Self::Raw(Chunks::default())
        } else {
            // on a Unix socket the end of the connection cannot be told from trailers
            Self::Decoded(DecodedChunks::new(has_address, head.has("Trailer")))
        }
    }

    /// Whether a part of it may still arrive.
    pub fn may_leave_trailers(&self) -> bool {
        matches!(self, Self::Decoded(chunks) if chunks.has_trailer())
    }
}

/// Reads the data of a body.
pub struct Source<'a> {
    pub decoder: &'a mut Decoder,
    pub reader: &'a mut dyn Read,
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

impl Exchange {
    /// Requires that chunks were read up to the last one.
    pub(super) fn require_end(&mut self, decoder: &mut Decoder, cut: Option<Cut>) -> io::Result<()> {
        match decoder {
            Decoder::Identity => Ok(()),
            // at the end of the connection tiny_http takes a part of a chunk for the last one. It looks the same when a
            // client has sent all and ends its direction at once; such a client should send the length instead
            Decoder::Decoded(chunks) if cut.is_none() && !self.is_at_end() => {
                chunks.require_trailer(|| self.chunks_follow())
            }
            Decoder::Raw(chunks) if chunks.are_complete() => Ok(()),
            Decoder::Decoded(_) | Decoder::Raw(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Whether tiny_http's decoder returns data of further chunks after an error.
    fn chunks_follow(&mut self) -> bool {
        sleep(SETTLING);
        let is_all_read = self.connection.is_some_and(|id| self.acceptor.connections.end_reading(id));
        let Some(request) = self.request.as_mut().filter(|_| is_all_read) else { return true };
        let reader = request.as_reader();
        (0..=BUFFERED).any(|_| reader.read(&mut [0; 64]).is_ok())
    }

    /// Whether the client has ended its direction and all was read. Not known on a Unix socket.
    pub fn is_at_end(&self) -> bool {
        self.connection.is_some_and(|id| self.acceptor.connections.is_at_end(id))
    }
}
