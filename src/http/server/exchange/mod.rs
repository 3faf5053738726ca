//! One request whose turn it is, and its answer; however it ends, the turn passes on.

mod body;
pub mod reply_writer;
pub mod responder;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tiny_http::{HTTPVersion, Method, Request};

use crate::http::reply::{Reply, SHOWN};
use crate::http::server::acceptor::Acceptor;
use crate::http::server::connections::{Client, Cut, Turn};
use crate::http::server::request::framing::{
    has_connection_option, has_whole_body, is_last_for_tiny_http, require_sound_framing,
};
use crate::http::server::request::head::Head;
use crate::http::server::request::target::Target;
use crate::http::server::response::disposal::{drop_unanswered, is_too_long_to_drop};
use crate::http::server::response::form::Form;
use crate::http::server::response::write::{is_disconnected, write, write_before_body};
use crate::memory::{Full, Memory, Share};
use crate::metrics;
use crate::printable::Printable;
use crate::request_id::RequestId;

pub use self::stream::Stream;

/// A longer answer may have to wait for its client, so that a thread of its own writes it. In bytes.
const LARGE: usize = 64 * 1024;
/// The stall timeout for such an answer. For others it is zero: the socket's buffer takes them at once.
const LARGE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A request with its way back to the client.
pub struct Exchange {
    request: Option<Request>,
    id: RequestId,
    client: Option<Client>,
    acceptor: Arc<Acceptor>,
    /// The part of the memory that it takes from, if that is not all.
    memory: Option<Memory>,
    /// What it takes of it: its body, what is made of that, and a long answer.
    share: Option<Share>,
    /// Bytes of its body may still be to come.
    unread: bool,
    /// The connection ends with the answer.
    last: bool,
    /// The reaper passes the turn on when it has seen the client off.
    is_refused: bool,
}

impl Exchange {
    /// Takes a request whose turn it is.
    pub fn new(Turn { request, client }: Turn, acceptor: Arc<Acceptor>) -> Self {
        let unread = !has_whole_body(Head::of(&request));
        let mut given = request.headers().iter().filter(|header| header.field.equiv("X-Request-ID"));
        let id = RequestId::of(given.next().filter(|_| given.next().is_none()).map(|header| header.value.as_str()));
        let (request, memory, share) = (Some(request), None, None);
        Self { request, id, client, acceptor, memory, share, unread, last: false, is_refused: false }
    }

    /// The head of the request; `None` only after its answer.
    pub fn head(&self) -> Option<Head<'_>> {
        self.request.as_ref().map(Head::of)
    }

    /// The request; `None` only after its answer.
    pub(in crate::http::server) fn request(&mut self) -> Option<&mut Request> {
        self.request.as_mut()
    }

    /// What the request is called.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Whether reading the body may have to wait for the client.
    pub fn may_wait(&self) -> bool {
        self.unread
    }

    /// Whether serving it takes next to no time: a body that came with the head is short, and asks for no long answer.
    pub fn is_quick(&self) -> bool {
        !self.unread && self.request.as_ref().is_some_and(|request| *request.method() == Method::Post)
    }

    /// Whether a thread that must not wait may write the answer, if that is short. It does not end the connection.
    pub fn may_be_answered_here(&self) -> bool {
        !self.last && self.client.is_some_and(|client| self.acceptor.connections().is_only_and_has_room(client))
    }

    /// Whether writing the answer waits for no client, as far as that is known: where it may, a thread is there for that.
    pub fn has_room(&self) -> bool {
        self.client.is_none_or(|client| self.acceptor.connections().has_room(client))
    }

    /// Refuses a head that is too large or that could be understood in two ways.
    pub fn require_sound_framing(&mut self, max_body: usize) -> Result<(), Reply> {
        let sound = self.request.as_ref().map_or(Ok(()), |request| require_sound_framing(Head::of(request), max_body));
        // what follows such a head on the connection cannot be parsed reliably
        if sound.is_err() {
            self.set_last();
        }
        sound
    }

    /// Makes the answer the last on its connection, whatever was pipelined behind it.
    pub fn set_last(&mut self) {
        self.last = true;
        if let Some(client) = self.client {
            self.acceptor.connections().end(client);
        }
    }

    /// Makes place for bytes of the body.
    pub fn hold(&self, bytes: usize) {
        if let Some(client) = self.client {
            self.acceptor.connections().hold(client, bytes);
        }
    }

    /// Has it take from this part of the memory that all requests share.
    pub fn charge(&mut self, memory: Memory) {
        self.memory = Some(memory);
    }

    /// Has it take so many bytes of the memory, no matter what it took before. Leaves it at that if there is no room.
    pub fn make_room(&mut self, bytes: usize) -> Result<(), Full> {
        let all = self.acceptor.connections().memory();
        let memory = self.memory.as_ref().unwrap_or(all);
        self.share.get_or_insert_with(|| memory.nothing()).resize(bytes)
    }

    /// Has all that it takes of the memory, which is then so many bytes, go with what it asks for.
    pub fn hand_over_room(&mut self, bytes: usize) -> Result<Share, Full> {
        self.make_room(bytes)?;
        Ok(self.split_room(bytes))
    }

    /// Has so many bytes of those that it takes go with what it asks for.
    pub fn split_room(&mut self, bytes: usize) -> Share {
        let all = self.acceptor.connections().memory();
        match &mut self.share {
            Some(share) => share.split(bytes),
            None => all.nothing(),
        }
    }

    /// An answer that there is memory for: this one, or a short one in its place.
    pub fn fit(&mut self, reply: Reply, instead: impl FnOnce() -> Reply) -> Reply {
        // once as it is, and once as it is written
        if reply.is_short() || self.make_room(2 * reply.size()).is_ok() { reply } else { instead() }
    }

    /// The same for one that has a reserve: it asks nobody to do anything, and may tell why others find no room.
    pub fn fit_in_reserve(&mut self, reply: Reply) -> Reply {
        if reply.is_short() {
            return reply;
        }
        let mut share = self.acceptor.connections().memory().nothing();
        let fitting = share.resize_in_reserve(2 * reply.size());
        self.share = Some(share);
        fitting.map_or_else(|_| Reply::document_without_room(), |()| reply)
    }

    /// So many bytes of the body were read, and no more will be. Tells whether it was cut short by us.
    pub fn release(&self, read: usize) -> Option<Cut> {
        // what came with the head is in the books
        let read = if self.unread { read } else { 0 };
        self.acceptor.connections().release(self.client?, read)
    }

    /// Reading the body failed.
    pub fn set_failed(&self, error: &io::Error) {
        if let Some(client) = self.client.filter(|_| is_disconnected(error)) {
            self.acceptor.connections().set_gone(client);
        }
    }

    /// The body was read to its end.
    pub fn set_read(&mut self) {
        self.unread = false;
    }

    /// Whether its connection can be told from others.
    pub fn has_address(&self) -> bool {
        self.client.is_some()
    }

    /// Lets nothing more come from the client. Returns whether all that came was read; on a Unix socket that is not known.
    pub fn end_reading(&self) -> bool {
        self.client.is_some_and(|client| self.acceptor.connections().end_reading(client))
    }

    /// Whether nothing more can come from the client. On a Unix socket that is not known.
    pub fn is_at_end(&self) -> bool {
        self.client.is_some_and(|client| self.acceptor.connections().is_at_end(client))
    }

    /// Writes the answer.
    pub fn answer(mut self, reply: &Reply) {
        let Some(request) = self.request.take() else { return };
        self.tell(&request, reply);
        self.last |= self.unread || self.acceptor.connections().is_last(self.client);
        self.last |= !self.last && !wants_end(&request) && self.has_line_end_behind(&request);
        let closes = self.last || wants_end(&request);
        // tiny_http ends it by itself where it has read that it should
        self.last |= closes && !is_last_for_tiny_http(Head::of(&request));
        let words = form(&request, self.id.clone(), closes).write(reply);
        match self.client {
            Some(client) if self.unread && !self.acceptor.connections().is_one_of_two(client) => {
                self.is_refused = true;
                self.acceptor.connections().refuse(client, request, &words);
            }
            Some(_) if self.unread || words.len() <= LARGE => self.write(request, &words),
            _ => self.write_in_pool(request, words),
        }
    }

    /// Counts the answer; one record for each is for those who look for a fault.
    fn tell(&self, request: &Request, reply: &Reply) {
        metrics::replied(reply.status(), reply.code());
        if log::log_enabled!(log::Level::Debug) {
            let target = Target::of(Head::of(request));
            let (method, path) = (request.method().as_str(), Printable::new(&target.path, SHOWN));
            let (method, status) = (Printable::new(method, SHOWN), reply.status());
            self.id.during(|| log::debug!("{method} {path} is answered with {status}"));
        }
    }

    /// Whether a line end follows the body, which `tiny_http` would take for a request.
    fn has_line_end_behind(&self, request: &Request) -> bool {
        let has_body = request.body_length().is_some_and(|length| length > 0);
        let client = self.client.filter(|_| has_body);
        let is_held = !has_whole_body(Head::of(request));
        client.is_some_and(|client| self.acceptor.connections().has_line_end_behind(client, is_held))
    }

    /// Writes the answer in a thread that may wait: a large one, for which the client may have to make room, and any on a
    /// Unix socket, which tiny_http holds back until earlier requests of the connection are answered.
    fn write_in_pool(self, request: Request, bytes: Vec<u8>) {
        let acceptor = self.acceptor.clone();
        let job = |(exchange, request, bytes): (Self, Request, Vec<u8>)| exchange.write(request, &bytes);
        match acceptor.connections().writers().run((self, request, bytes), job) {
            Some((mut exchange, request, _)) if exchange.client.is_none() => {
                // this thread must not wait, and dropping the request may; leaks tiny_http's thread and its descriptors
                exchange.share = None;
                std::mem::forget((exchange, request));
            }
            Some((exchange, request, bytes)) => exchange.write(request, &bytes),
            None => {}
        }
    }

    /// Writes the answer in this thread.
    fn write(&self, request: Request, bytes: &[u8]) {
        let connections = self.acceptor.connections();
        if self.unread {
            // the socket is not known, or is one of several with the same address: only tiny_http knows where to write
            let close = || self.client.into_iter().for_each(|client| connections.shut_all(client));
            if *request.http_version() >= HTTPVersion(1, 1) {
                return write_before_body(request, bytes, close);
            }
            // HTTP/1.0 has no change of protocol, so that nothing can be written before the body was read
            if self.client.is_some() || is_too_long_to_drop(&request) {
                close();
                return drop_unanswered(request);
            }
        }
        if let Some(client) = self.client.filter(|_| self.last) {
            connections.end(client);
        }
        let mut writer = request.into_writer();
        let stall_timeout = if bytes.len() > LARGE { LARGE_STALL_TIMEOUT } else { Duration::ZERO };
        let written = write(&mut *writer, bytes, stall_timeout);
        let Some(client) = self.client else { return };
        match written {
            Err(error) if is_disconnected(&error) => connections.set_gone(client),
            Ok(()) if !self.last => {}
            // before the writer is dropped: then tiny_http reads on, and answers by itself what it cannot parse
            Ok(()) | Err(_) => connections.shut(client, &[]),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            // a panic: tiny_http answers 500 when it is let go, and would wait for an unread body
            if let Some(client) = self.client.filter(|_| self.unread) {
                self.acceptor.connections().shut(client, &[]);
            }
            drop_unanswered(request);
        }
        if !self.is_refused {
            self.acceptor.finish(self.client);
        }
    }
}

/// Whether the connection ends with the answer because the client, or tiny_http, means it to.
fn wants_end(request: &Request) -> bool {
    let is_old = *request.http_version() < HTTPVersion(1, 1);
    let keeps = !is_old || has_connection_option(Head::of(request), "keep-alive");
    !keeps || has_connection_option(Head::of(request), "close") || is_last_for_tiny_http(Head::of(request))
}

/// How the answer to a request is to be written.
fn form(request: &Request, id: RequestId, closes: bool) -> Form {
    let is_old = *request.http_version() < HTTPVersion(1, 1);
    let connection = match (closes, is_old) {
        (true, _) => Some("close"),
        (false, true) => Some("keep-alive"),
        (false, false) => None,
    };
    Form { id, connection, without_body: *request.method() == Method::Head }
}
