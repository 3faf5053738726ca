//! Answers for which a thread waits.

use super::Responder;
use crate::http::reply::Reply;
use crate::http::server::exchange::Exchange;

impl Responder {
    /// Answers with the reply that `wait` returns. `wait` runs in a thread of its own and may wait; this function
    /// never does. The client may leave during the wait: [`Exchange::is_at_end`].
    pub fn reply_after(self, wait: impl FnOnce(&mut Exchange) -> Reply + Send + 'static) {
        let origin = self.origin;
        let work = move |mut exchange: Exchange| {
            let reply = wait(&mut exchange).with_allowed_origin(origin);
            let reply = exchange.fit(reply, Reply::document_without_room);
            exchange.send(&reply);
        };
        if let Some(exchange) = self.writers.streams.run(self.exchange, work) {
            self.writers.replies.push(exchange, Reply::busy());
        }
    }
}
