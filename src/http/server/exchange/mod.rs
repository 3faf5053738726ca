//! One request whose turn it is, and its answer; however it ends, the turn passes on.

mod body;
pub mod reply_writer;
pub mod responder;
mod stream;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tiny_http::{HTTPVersion, Method, Request, Response};

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
use crate::memory::{Full, Memory, Share};
use crate::metrics;
use crate::printable::Printable;
use crate::request_id::RequestId;

use self::stream::Patient;
pub use self::stream::Stream;

/// Bytes of an answer from which on it may have to wait for the client, and for how long that may take nothing.
const LARGE: usize = 64 * 1024;
const LARGE_PATIENCE: Duration = Duration::from_secs(10);
/// An interim response that asks for nothing (RFC 2518, 10.1).
const PROCESSING: u16 = 102;

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
        if let Some(client) = self.client.filter(|_| is_gone(error)) {
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
            Some(client) if self.unread && self.acceptor.connections().is_one_of_two(client) => {
                self.refuse_one_of_two(client, request, &words);
            }
            Some(client) if self.unread => {
                self.is_refused = true;
                self.acceptor.connections().refuse(client, request, &words);
            }
            Some(client) if words.len() > LARGE => self.write_large(client, request, words),
            Some(client) => self.write(Some(client), request, &words),
            None => self.write_elsewhere(request, words),
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

    /// Its socket cannot be told from another's: `tiny_http` alone knows where the answer goes, and then both end.
    fn refuse_one_of_two(&self, client: Client, request: Request, words: &[u8]) {
        let connections = self.acceptor.connections();
        if *request.http_version() < (1, 1) {
            connections.shut_all(client);
            return drop_unanswered(request);
        }
        let is_too_long = is_too_long_to_drop(&request);
        let mut stream = request.upgrade("HTTP/1.1", Response::empty(PROCESSING));
        let _ = stream.write_all(words).and_then(|()| stream.flush());
        connections.shut_all(client);
        if is_too_long {
            std::mem::forget(stream);
        }
    }

    /// Whose turn it is on a Unix socket cannot be told, and tiny_http makes an answer wait for those of earlier
    /// requests: for each its own thread waits.
    fn write_elsewhere(self, request: Request, words: Vec<u8>) {
        let acceptor = self.acceptor.clone();
        let write = |(exchange, request, words): (Self, Request, Vec<u8>)| {
            if exchange.unread && *request.http_version() >= (1, 1) {
                refuse(request, &words);
            } else {
                exchange.write(None, request, &words);
            }
        };
        let writers = acceptor.connections().writers();
        // who passes requests on must not wait, and letting go of one may
        if let Some((mut exchange, request, _)) = writers.run_with((self, request, words), write) {
            exchange.share = None;
            std::mem::forget((exchange, request));
        }
    }

    /// What the system does not take at once has a thread of its own, which waits for the client.
    fn write_large(self, client: Client, request: Request, words: Vec<u8>) {
        let acceptor = self.acceptor.clone();
        let write = move |(exchange, request, words): (Self, Request, Vec<u8>)| {
            exchange.write(Some(client), request, &words);
        };
        let writers = acceptor.connections().writers();
        if let Some((exchange, request, words)) = writers.run_with((self, request, words), write) {
            exchange.write(Some(client), request, &words);
        }
    }

    fn write(&self, client: Option<Client>, request: Request, words: &[u8]) {
        let connections = self.acceptor.connections();
        if let Some(client) = client.filter(|_| self.last) {
            connections.end(client);
        }
        if self.unread && is_too_long_to_drop(&request) {
            // a client of HTTP/1.0 on a Unix socket, which has no address to end it by
            return drop_unanswered(request);
        }
        let mut writer = request.into_writer();
        let patience = if words.len() > LARGE { LARGE_PATIENCE } else { Duration::ZERO };
        let mut patient = Patient::new(&mut *writer, patience, || false);
        let written = patient.write_all(words).and_then(|()| patient.flush());
        let Some(client) = client else { return };
        match written {
            Err(error) if is_gone(&error) => connections.set_gone(client),
            Ok(()) if !self.last => {}
            // before tiny_http gets the writer back, which has its own words for what it cannot read
            Ok(()) | Err(_) => {
                connections.shut(client, &[]);
            }
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

/// Whether there is no connection to its client any more.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

/// Writes the answer to a request whose body is still to come, and then waits for the body.
///
/// tiny_http lets nobody write without letting go of the body first, for which it waits; but for a change of protocol,
/// which may begin with any interim response (RFC 9110, 15.2).
fn refuse(request: Request, words: &[u8]) {
    let is_too_long = is_too_long_to_drop(&request);
    let mut stream = request.upgrade("HTTP/1.1", Response::empty(PROCESSING));
    let _ = stream.write_all(words).and_then(|()| stream.flush());
    if is_too_long {
        // its thread and its descriptors stay; the reaper counts them
        std::mem::forget(stream);
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
