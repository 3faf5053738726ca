//! The body of a request: read to its end and no further, piece by piece.

use std::io::{self, ErrorKind, Read};
use std::thread::sleep;
use std::time::Duration;

use tiny_http::Request;

use crate::http::reply::Reply;
use crate::http::server::connections::Cut;
use crate::http::server::exchange::Exchange;
use crate::http::server::request::chunks::Chunks;
use crate::http::server::request::framing::{has_whole_body, is_upgrade};
use crate::http::server::request::head::Head;
use crate::memory::Full;

/// How much of a body is read, and how much memory it gets, at a time. In bytes.
const PIECE: usize = 16 * 1024;

impl Exchange {
    /// The whole body, at most `max` bytes. One whose `Content-Length` is larger is refused without being read.
    pub fn body(&mut self, max: usize) -> Result<Vec<u8>, Reply> {
        body(self, max)
    }
}

fn body(exchange: &mut Exchange, max: usize) -> Result<Vec<u8>, Reply> {
    let has_address = exchange.has_address();
    let Some(request) = exchange.request() else { return Err(Reply::busy()) };
    let announced = request.body_length();
    if announced.is_some_and(|length| length > max) {
        return Err(Reply::body_too_large(max));
    }
    let mut framing = Framing::of(request, has_address);
    let is_chunked = !matches!(framing, Framing::Length);
    // one byte more than is allowed tells chunks that are too long; never up to the end of the connection,
    // which is all that tiny_http gives for some requests
    let limit = announced.unwrap_or(if is_chunked { max + 1 } else { 0 });
    let mut body = Vec::new();
    let read = read(exchange, &mut framing, limit, &mut body);
    let full = read.as_ref().err().and_then(|error| error.get_ref()?.downcast_ref::<Full>().copied());
    // it may wait for the broker
    body.shrink_to_fit();
    if exchange.may_wait() {
        // less than it was, or there is nothing more to be done
        let _ = exchange.make_room(body.capacity());
    }
    let cut = exchange.release(body.len());
    if let Err(error) = &read {
        exchange.set_failed(error);
    }
    let is_broken_off = framing.is_broken_off(exchange, cut);
    let read = if is_broken_off { read } else { read.and_then(|()| framing.require_trailers(exchange)) };
    let is_whole = read.is_ok() && !is_broken_off && announced.map_or(body.len() <= max, |length| body.len() == length);
    if is_whole && !framing.leaves_trailers() {
        exchange.set_read();
    }
    if is_chunked {
        // what follows chunks is not looked at: where they end is tiny_http's opinion
        exchange.set_last();
    }
    match (read, announced) {
        _ if is_whole => Ok(body),
        _ if full.is_some() => Err(full.map_or_else(Reply::no_room, Reply::from)),
        _ if cut == Some(Cut::Evicted) => Err(Reply::busy()),
        _ if cut == Some(Cut::Late) => Err(Reply::request_timeout()),
        (Err(error), _) if error.kind() == ErrorKind::UnexpectedEof => Err(Reply::chunks_cut_off()),
        (Err(error), _) => Err(Reply::invalid(format!("the body could not be read: {error}"))),
        (Ok(()), Some(length)) => Err(Reply::invalid(format!("the body ended after {} of {length} bytes", body.len()))),
        (Ok(()), None) if body.len() > max => Err(Reply::body_too_large(max)),
        (Ok(()), None) => Err(Reply::chunks_cut_off()),
    }
}

/// Reads up to so many bytes, piece by piece; what is only announced takes no memory.
fn read(exchange: &mut Exchange, framing: &mut Framing, limit: usize, body: &mut Vec<u8>) -> io::Result<()> {
    while body.len() < limit {
        let piece = PIECE.min(limit - body.len());
        grow(exchange, body, piece, limit - body.len())?;
        let Some(request) = exchange.request() else { break };
        let source = Source { framing, reader: request.as_reader() };
        if source.take(piece as u64).read_to_end(body)? < piece {
            break;
        }
    }
    Ok(())
}

/// Makes place for the next piece, which is in the books as soon as it is there.
fn grow(exchange: &mut Exchange, body: &mut Vec<u8>, piece: usize, left: usize) -> io::Result<()> {
    let before = body.capacity();
    if before - body.len() < piece {
        // into a place as large as its buffer tiny_http reads without that, and not a byte beyond the body
        body.reserve_exact(piece.max(body.len()).min(left));
    }
    let grown = body.capacity() - before;
    // of one that came with the head there are no more than workers
    if grown == 0 || !exchange.may_wait() {
        return Ok(());
    }
    exchange.hold(grown);
    exchange.make_room(body.capacity()).map_err(|full| io::Error::new(ErrorKind::OutOfMemory, full))
}

/// What tells where a body ends.
enum Framing {
    /// Its length, or there is none.
    Length,
    /// Chunks, of which `tiny_http` shows the data.
    Decoded(Decoded),
    /// Chunks, of which it shows everything: it takes the rest of the connection for another protocol.
    Raw(Chunks),
}

impl Framing {
    fn of(request: &Request, has_address: bool) -> Self {
        if request.body_length().is_some() || has_whole_body(Head::of(request)) {
            Self::Length
        } else if is_upgrade(Head::of(request)) {
            Self::Raw(Chunks::default())
        } else {
            let are_announced = request.headers().iter().any(|header| header.field.equiv("Trailer"));
            // elsewhere the end of the connection cannot be told from trailers
            Self::Decoded(Decoded { may_come: has_address, are_announced, has_data: false, met: None })
        }
    }

    /// Refuses what was taken for trailers, where nobody said that there would be any and chunks follow.
    fn require_trailers(&mut self, exchange: &mut Exchange) -> io::Result<()> {
        let Self::Decoded(decoded) = self else { return Ok(()) };
        let Some(fault) = decoded.met.take_if(|_| !decoded.are_announced) else { return Ok(()) };
        sleep(SETTLING);
        let is_all_read = exchange.end_reading();
        let Some(request) = exchange.request().filter(|_| is_all_read) else { return Err(fault) };
        let reader = request.as_reader();
        if (0..=BUFFERED).any(|_| reader.read(&mut [0; 64]).is_ok()) {
            return Err(fault);
        }
        decoded.met = Some(fault);
        Ok(())
    }

    /// Whether chunks ended before the last of them.
    fn is_broken_off(&self, exchange: &Exchange, cut: Option<Cut>) -> bool {
        match self {
            Self::Length => false,
            // where the connection ends, tiny_http takes a part of a chunk for the last one. Nothing tells it from a
            // client that has sent all and ends its side at once, which had better tell the length
            Self::Decoded(_) => cut.is_some() || exchange.is_at_end(),
            Self::Raw(chunks) => !chunks.are_complete(),
        }
    }

    /// Whether something of it may still be to come.
    fn leaves_trailers(&self) -> bool {
        matches!(self, Self::Decoded(decoded) if decoded.met.is_some())
    }
}

/// Chunks behind the decoder of `tiny_http` (`chunked_transfer` 1.5), to which trailers are a fault like any other: it has
/// read the last chunk and one byte more, and shows neither. What it has taken from the connection is gone, and its
/// reader is behind a trait that shows data alone, so that no other decoder can be put in its place.
///
/// So of a fault it is only known whether it came with data: a chunk that does not end where it should. If it did not,
/// and there was data before, it is a first trailer, or a line that is no size. From there on the decoder takes a line
/// at each call, and shows those that are sizes: chunks go on there, or end, and trailers were not meant. A client that
/// announces them (RFC 9110, 6.6.2) is not asked. What remains is a client that leaves its chunks unfinished, and goes on
/// with something else on the same connection: what it sent up to there is taken for all. The connection ends.
struct Decoded {
    may_come: bool,
    are_announced: bool,
    has_data: bool,
    /// The fault that is taken for trailers.
    met: Option<io::Error>,
}

/// What that decoder overwrites with the data of a chunk before it finds the fault behind it; no text begins so.
const UNTOUCHED: [u8; 8] = [0xff, 0xf5, 0xfe, 0xc0, 0xff, 0xc1, 0xfa, 0xff];
/// How long the rest of what was sent may take to come.
const SETTLING: Duration = Duration::from_millis(50);
/// Bytes that `tiny_http` has taken from a connection beforehand, at most; each line takes one at least.
const BUFFERED: usize = 1024;

impl Decoded {
    fn read(&mut self, reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.met.is_some() {
            return Ok(0);
        }
        let seen = buffer.len().min(UNTOUCHED.len());
        buffer[..seen].copy_from_slice(&UNTOUCHED[..seen]);
        let read = reader.read(buffer);
        self.has_data |= read.as_ref().is_ok_and(|read| *read > 0);
        let may_be_trailers = self.may_come && self.has_data && buffer[..seen] == UNTOUCHED[..seen];
        match read {
            Err(fault) if may_be_trailers && fault.kind() == ErrorKind::InvalidInput => {
                self.met = Some(fault);
                Ok(0)
            }
            read => read,
        }
    }
}

/// The data of a body alone.
struct Source<'a> {
    framing: &'a mut Framing,
    reader: &'a mut dyn Read,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.framing {
            Framing::Length => self.reader.read(buffer),
            Framing::Decoded(decoded) => decoded.read(self.reader, buffer),
            Framing::Raw(chunks) => chunks.read(self.reader, buffer),
        }
    }
}
