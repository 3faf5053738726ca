//! Decides by which thread a reply is written and whether it is the last on its connection, and writes it.

use std::time::Duration;

use tiny_http::{HTTPVersion, Request};

use super::Exchange;
use crate::http::reply::{Reply, SHOWN};
use crate::http::server::request::framing::{has_connection_option, has_whole_body, is_last_for_tiny_http};
use crate::http::server::request::{Head, Target, without_secrets};
use crate::http::server::response::disposal::{drop_unanswered, is_too_long_to_drop};
use crate::http::server::response::serializer::Serializer;
use crate::http::server::response::write::{is_disconnected, write, write_before_body};
use crate::metrics;
use crate::printable::Printable;

/// A longer reply may have to wait for its client, so that a thread of its own writes it. In bytes.
const LARGE: usize = 64 * 1024;
/// The stall timeout for such a reply. For others it is zero: the socket's buffer takes them at once.
const LARGE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

impl Exchange {
    /// Whether a thread that must not wait may write a short reply. Such a reply does not close the connection.
    pub(in crate::http::server) fn may_be_answered_here(&self) -> bool {
        !self.last && self.connection.is_some_and(|id| self.acceptor.connections.is_only_and_has_room(id))
    }

    /// Whether writing the reply waits for no client, as far as known.
    pub(in crate::http::server) fn has_room(&self) -> bool {
        self.connection.is_none_or(|id| self.acceptor.connections.has_room(id))
    }

    pub fn send(mut self, reply: &Reply) {
        let Some(request) = self.request.take() else { return };
        let head = Head::of(&request);
        self.record(head, reply);
        let connections = &self.acceptor.connections;
        let wants_close = wants_close(head);
        self.last |= self.unread || connections.is_last(self.connection);
        self.last |= !self.last && !wants_close && self.has_line_end_behind(head);
        let closes = self.last || wants_close;
        // where tiny_http knows that the request was the last, it closes the connection by itself
        self.last |= closes && !is_last_for_tiny_http(head);
        let bytes = Serializer::new(head, self.id.clone(), closes).serialize(reply);
        match self.connection {
            Some(id) if self.unread && !connections.shares_address(id) => {
                self.is_lingering = true;
                connections.refuse(id, request, &bytes);
            }
            Some(_) if self.unread || bytes.len() <= LARGE => self.write(request, &bytes),
            _ => self.write_in_pool(request, bytes),
        }
    }

    /// Counts the reply, and logs it at debug level.
    pub(super) fn record(&self, head: Head, reply: &Reply) {
        metrics::replied(reply.status(), reply.code());
        if log::log_enabled!(log::Level::Debug) {
            let target = Target::of(head);
            let (method, path) = (without_secrets(head.method()), target.shown_path());
            let (method, path) = (Printable::new(&method, SHOWN), Printable::new(&path, SHOWN));
            let status = reply.status();
            self.id.during(|| log::debug!("{method} {path} is answered with {status}"));
        }
    }

    /// Whether a line end follows the body, which tiny_http would parse as a request.
    fn has_line_end_behind(&self, head: Head) -> bool {
        let has_body = head.body_length().is_some_and(|length| length > 0);
        let id = self.connection.filter(|_| has_body);
        id.is_some_and(|id| self.acceptor.connections.has_line_end_behind(id, !has_whole_body(head)))
    }

    /// Writes the reply in a thread that may wait: a large one, for which the client may have to make room, and any on
    /// a Unix socket, which tiny_http holds back until earlier requests of the connection are answered.
    fn write_in_pool(self, request: Request, bytes: Vec<u8>) {
        let acceptor = self.acceptor.clone();
        let job = |(exchange, request, bytes): (Self, Request, Vec<u8>)| exchange.write(request, &bytes);
        match acceptor.connections.writers.run((self, request, bytes), job) {
            Some((mut exchange, request, _)) if exchange.connection.is_none() => {
                // this thread must not wait, and dropping the request may; leaks tiny_http's thread and its descriptors
                let _ = exchange.make_room(0);
                std::mem::forget((exchange, request));
            }
            Some((exchange, request, bytes)) => exchange.write(request, &bytes),
            None => {}
        }
    }

    /// Writes the reply in this thread.
    fn write(&self, request: Request, bytes: &[u8]) {
        let connections = &self.acceptor.connections;
        if self.unread {
            // the socket is not known, or is one of several with the same address: only tiny_http knows where to write
            let close = || self.connection.into_iter().for_each(|id| connections.close_all(id));
            if *request.http_version() >= HTTPVersion(1, 1) {
                return write_before_body(request, bytes, close);
            }
            // HTTP/1.0 has no change of protocol, so that nothing can be written before the body was read
            if self.connection.is_some() || is_too_long_to_drop(&request) {
                close();
                return drop_unanswered(request);
            }
        }
        if let Some(id) = self.connection.filter(|_| self.last) {
            connections.end(id);
        }
        let mut writer = request.into_writer();
        let stall_timeout = if bytes.len() > LARGE { LARGE_STALL_TIMEOUT } else { Duration::ZERO };
        let written = write(&mut *writer, bytes, stall_timeout);
        let Some(id) = self.connection else { return };
        match written {
            Err(error) if is_disconnected(&error) => connections.set_reset(id),
            Ok(()) if !self.last => {}
            // before the writer is dropped: then tiny_http reads on, and answers by itself what it cannot parse
            Ok(()) | Err(_) => connections.close(id, &[]),
        }
    }
}

/// Whether the connection is closed after the reply because the client asks for it or tiny_http does it.
fn wants_close(head: Head) -> bool {
    let keeps = head.version() >= (1, 1) || has_connection_option(head, "keep-alive");
    !keeps || has_connection_option(head, "close") || is_last_for_tiny_http(head)
}
