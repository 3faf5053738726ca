//! One request that is being served, and its reply. However it ends, the next request of its connection follows.

mod body;
mod decoder;
mod memory;
mod reply;
mod stream;

use std::sync::Arc;

use tiny_http::{Method, Request};

pub use self::stream::Stream;

use super::acceptor::Acceptor;
use super::connections::{ConnectionId, ReadyRequest};
use super::request::Head;
use super::request::framing::{has_whole_body, require_sound_framing};
use super::response::disposal::drop_unanswered;
use crate::http::reply::Reply;
use crate::memory::Share;
use crate::request_id::RequestId;

/// A request that is being served, with its way back to the client.
pub struct Exchange {
    request: Option<Request>,
    id: RequestId,
    /// `None` on a Unix socket.
    connection: Option<ConnectionId>,
    acceptor: Arc<Acceptor>,
    /// The memory that it takes: for its body, for what is made of that, and for a long reply.
    share: Share,
    /// Bytes of its body may still be to come.
    unread: bool,
    /// The connection is closed after the reply.
    last: bool,
    /// The connection is closed by the reaper after a while, and only then the next request follows.
    is_lingering: bool,
}

impl Exchange {
    /// Takes a request that is to be served now.
    pub fn new(ReadyRequest { request, connection }: ReadyRequest, acceptor: Arc<Acceptor>) -> Self {
        let unread = !has_whole_body(Head::of(&request));
        let mut given = request.headers().iter().filter(|header| header.field.equiv("X-Request-ID"));
        let id = RequestId::of(given.next().filter(|_| given.next().is_none()).map(|header| header.value.as_str()));
        let share = acceptor.connections.memory.nothing();
        let request = Some(request);
        Self { request, id, connection, acceptor, share, unread, last: false, is_lingering: false }
    }

    /// The head of the request; `None` only after its reply.
    pub fn head(&self) -> Option<Head<'_>> {
        self.request.as_ref().map(Head::of)
    }

    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Refuses a head that is too large or that could be understood in two ways.
    pub fn require_sound_framing(&mut self, max_body: usize) -> Result<(), Reply> {
        let sound = self.head().map_or(Ok(()), |head| require_sound_framing(head, max_body));
        // it is not certain where the next request on the connection begins
        sound.inspect_err(|_| self.set_last())
    }

    /// Whether reading the body may have to wait for the client.
    pub fn may_wait(&self) -> bool {
        self.unread
    }

    /// Whether serving it takes next to no time: its body came with the head and is short, and it asks for no long
    /// reply.
    pub fn is_quick(&self) -> bool {
        !self.unread && self.request.as_ref().is_some_and(|request| *request.method() == Method::Post)
    }

    /// Makes the reply the last on its connection, even if further requests are pipelined.
    fn set_last(&mut self) {
        self.last = true;
        if let Some(connection) = self.connection {
            self.acceptor.connections.end(connection);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            // after a panic: the client would wait for a reply, and dropping the request for an unread body
            if let Some(connection) = self.connection {
                self.acceptor.connections.close(connection, &[]);
            }
            drop_unanswered(request);
        }
        if !self.is_lingering {
            self.acceptor.finish(self.connection);
        }
    }
}
