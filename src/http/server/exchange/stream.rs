//! A reply without a known length, written piece by piece.

use std::io::{self, Write};
use std::time::Duration;

use super::Exchange;
use crate::http::reply::Reply;
use crate::http::server::request::Head;
use crate::http::server::response::serializer::Serializer;
use crate::http::server::response::write::{TimedWriter, is_disconnected};

/// A reply that has begun. Dropping it ends its connection.
pub struct Stream {
    writer: Box<dyn Write + Send>,
    /// Chunks mark its end (RFC 9112, 7.1); for a client of HTTP/1.0 the end of the connection does.
    in_chunks: bool,
    exchange: Exchange,
    /// The client has reset the connection.
    is_reset: bool,
}

impl Exchange {
    /// Writes the head of a reply that is a stream; `None` if the client cannot be written to.
    pub(in crate::http::server) fn begin(mut self, reply: &Reply) -> Option<Stream> {
        if self.unread {
            // endpoints refuse such a request; tiny_http would wait for the body here
            self.send(&Reply::length_required());
            return None;
        }
        let request = self.request.take()?;
        let head = Head::of(&request);
        self.record(head, reply);
        let in_chunks = head.version() >= (1, 1);
        let bytes = Serializer::new(head, self.id.clone(), true).serialize_head(reply, in_chunks);
        self.acceptor.connections.streams_changed(1);
        let mut stream = Stream { writer: request.into_writer(), in_chunks, exchange: self, is_reset: false };
        stream.writer.write_all(&bytes).ok()?;
        Some(stream)
    }
}

impl Stream {
    /// Writes a piece and flushes it. A client that takes nothing for `stall_timeout` is given up, and at once when
    /// `is_cancelled`.
    pub fn send(&mut self, piece: &[u8], stall_timeout: Duration, is_cancelled: impl Fn() -> bool) -> io::Result<()> {
        let mut writer = TimedWriter::new(&mut *self.writer, stall_timeout, is_cancelled);
        let mut write = || {
            // an empty chunk would end the stream
            if !self.in_chunks || piece.is_empty() {
                writer.write_all(piece)?;
            } else {
                write!(writer, "{:x}\r\n", piece.len())?;
                writer.write_all(piece)?;
                writer.write_all(b"\r\n")?;
            }
            writer.flush()
        };
        let sent = write();
        self.is_reset |= sent.as_ref().is_err_and(is_disconnected);
        sent
    }

    /// Whether the client has ended its direction, which may mean that it is gone. Not known on a Unix socket.
    pub fn is_at_end(&self) -> bool {
        self.exchange.is_at_end()
    }

    /// Writes the end of the stream.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.in_chunks {
            self.writer.write_all(b"0\r\n\r\n")?;
        }
        self.writer.flush()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connections = &self.exchange.acceptor.connections;
        connections.streams_changed(-1);
        let Some(id) = self.exchange.connection else { return };
        if self.is_reset {
            // a socket with its address is another connection's
            connections.set_reset(id);
        } else {
            // before the writer is dropped: then tiny_http waits for a further request
            connections.close(id, &[]);
        }
    }
}
