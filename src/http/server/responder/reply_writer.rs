//! The thread that writes replies instead of threads that must not wait for a slow client.

use std::mem::forget;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::http::reply::Reply;
use crate::http::server::exchange::Exchange;

/// A queue of replies. There are no more of them than connections, since each has one request that is being served.
#[derive(Clone)]
pub struct ReplyWriter(Sender<Job>);

/// A reply that is to be written; `None` when no further one is waited for.
type Job = Option<(Exchange, Reply)>;

impl ReplyWriter {
    /// A queue, and what the thread is to call [`write_all`] with.
    pub fn new() -> (Self, Receiver<Job>) {
        let (sender, queue) = channel();
        (Self(sender), queue)
    }

    /// Queues a reply. Never waits.
    pub fn push(&self, exchange: Exchange, reply: Reply) {
        // without the thread the process is about to end; dropping the request may wait
        self.0.send(Some((exchange, reply))).unwrap_or_else(forget);
    }

    /// Lets [`write_all`] return when everything is written.
    pub fn close(&self) {
        let _ = self.0.send(None);
    }
}

/// Writes one reply after another.
pub fn write_all(queue: &Receiver<Job>) {
    let write = |(exchange, reply): (Exchange, Reply)| exchange.send(&reply);
    queue.iter().map_while(|job| job).for_each(write);
    // the replies that came while the queue was being closed
    queue.try_iter().flatten().for_each(write);
}
