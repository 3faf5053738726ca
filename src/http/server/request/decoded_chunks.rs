//! Chunks that tiny_http decodes (`chunked_transfer` 1.5), whose decoder fails at trailers as at any other error.
//!
//! After the last chunk and one byte more it returns an error, and shows neither. What it has taken from the connection
//! cannot be read again, and its reader is behind a trait that shows only data, so that no other decoder can replace
//! it.
//!
//! So of an error it is only known whether it came with data: then a chunk does not end where it should. Without data,
//! and after some, it is the first trailer, or a line that is no chunk size. From there on, the decoder reads a line at
//! each call, and returns data for those that are sizes: then chunks follow, and the line was no trailer. Where the
//! client announces trailers (RFC 9110, 6.6.2), this is not tried. One case remains: a client that leaves its chunks
//! unfinished and goes on with something else on the same connection. What it sent up to there is taken for the whole
//! body, and the connection ends.

use std::io::{self, ErrorKind, Read};

/// The most bytes that tiny_http has taken from a connection in advance; each line takes at least one.
pub const BUFFERED: usize = 1024;
/// What the buffer holds before a read. The decoder overwrites it with the data of a chunk before it finds an error
/// behind the data; no UTF-8 text begins with it.
const UNTOUCHED: [u8; 8] = [0xff, 0xf5, 0xfe, 0xc0, 0xff, 0xc1, 0xfa, 0xff];

/// The state between two reads.
pub struct DecodedChunks {
    allows_trailers: bool,
    are_announced: bool,
    has_data: bool,
    /// The error that is taken for a trailer.
    trailer: Option<io::Error>,
}

impl DecodedChunks {
    /// `are_announced`: the client has announced trailers.
    pub fn new(allows_trailers: bool, are_announced: bool) -> Self {
        Self { allows_trailers, are_announced, has_data: false, trailer: None }
    }

    /// Reads data; nothing at the end and at a trailer.
    pub fn read(&mut self, reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.trailer.is_some() {
            return Ok(0);
        }
        let seen = buffer.len().min(UNTOUCHED.len());
        buffer[..seen].copy_from_slice(&UNTOUCHED[..seen]);
        let read = reader.read(buffer);
        self.has_data |= read.as_ref().is_ok_and(|read| *read > 0);
        let may_be_trailer = self.allows_trailers && self.has_data && buffer[..seen] == UNTOUCHED[..seen];
        match read {
            Err(error) if may_be_trailer && error.kind() == ErrorKind::InvalidInput => {
                self.trailer = Some(error);
                Ok(0)
            }
            read => read,
        }
    }

    pub fn has_trailer(&self) -> bool {
        self.trailer.is_some()
    }

    /// Returns the error that was taken for a trailer, if no trailers were announced and `chunks_follow`.
    pub fn require_trailer(&mut self, chunks_follow: impl FnOnce() -> bool) -> io::Result<()> {
        let is_wrong = self.trailer.is_some() && !self.are_announced && chunks_follow();
        self.trailer.take_if(|_| is_wrong).map_or(Ok(()), Err)
    }
}
