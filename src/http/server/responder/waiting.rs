//! Answers that take a wait.

use super::Responder;
use crate::http::reply::Reply;
use crate::http::server::exchange::Exchange;

impl Responder {
    /// Answers with what `wait` returns, which may wait, as it runs in a thread of its own. Never waits. The client may
    /// leave meanwhile: [`Exchange::is_at_end`].
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
