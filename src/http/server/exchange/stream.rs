//! An answer that goes on, piece by piece, for as long as its writer likes.

use std::io::{self, Write};
use std::time::Duration;

use super::Exchange;
use crate::http::reply::Reply;
use crate::http::server::response::write::{TimedWriter, is_disconnected};

/// An answer that has begun. Its connection ends with it.
pub struct Stream {
    writer: Box<dyn Write + Send>,
    /// Chunks tell where it ends (RFC 9112, 7.1); a client of HTTP/1.0 knows none.
    in_chunks: bool,
    /// Ends the connection, and passes the turn on.
    exchange: Exchange,
    /// Its client has reset it.
    is_gone: bool,
}

impl Exchange {
    /// Writes the head of an answer that goes on; `None` if there is nobody to write to.
    pub fn begin(mut self, reply: &Reply) -> Option<Stream> {
        if self.unread {
            // an endpoint refuses it; tiny_http would wait for the body here
            self.answer(&Reply::length_required());
            return None;
        }
        let request = self.request.take()?;
        self.tell(&request, reply);
        let in_chunks = *request.http_version() >= (1, 1);
        let head = super::form(&request, self.id.clone(), true).write_head(reply, in_chunks);
        self.acceptor.connections().streams_changed(1);
        let mut stream = Stream { writer: request.into_writer(), in_chunks, exchange: self, is_gone: false };
        stream.writer.write_all(&head).ok()?;
        Some(stream)
    }
}

impl Stream {
    /// Writes a piece, and sees that it leaves. A client that takes nothing for so long is given up, and at once when
    /// `is_over`.
    pub fn send(&mut self, piece: &[u8], patience: Duration, is_over: impl Fn() -> bool) -> io::Result<()> {
        let sent = self.send_piece(piece, patience, is_over);
        self.is_gone |= sent.as_ref().is_err_and(is_disconnected);
        sent
    }

    fn send_piece(&mut self, piece: &[u8], patience: Duration, is_over: impl Fn() -> bool) -> io::Result<()> {
        let mut writer = TimedWriter::new(&mut *self.writer, patience, is_over);
        if !self.in_chunks {
            writer.write_all(piece)?;
        } else if !piece.is_empty() {
            writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
            writer.write_all(piece)?;
            writer.write_all(b"\r\n")?;
        }
        writer.flush()
    }

    /// Whether nothing more can come from the client, which may be gone. On a Unix socket that is not known.
    pub fn is_at_end(&self) -> bool {
        self.exchange.is_at_end()
    }

    /// Says that this was all.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.in_chunks {
            self.writer.write_all(b"0\r\n\r\n")?;
        }
        self.writer.flush()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connections = self.exchange.acceptor.connections();
        connections.streams_changed(-1);
        let Some(client) = self.exchange.client else { return };
        if self.is_gone {
            // whoever has its address by now is another
            connections.set_gone(client);
        } else {
            // before tiny_http gets the writer back, which waits for a further request
            connections.shut(client, &[]);
        }
    }
}
