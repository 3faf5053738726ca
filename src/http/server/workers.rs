//! What each worker thread does: it receives requests and has them answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::exchange::Exchange;
use super::responder::{Responder, Writers};
use super::thread_pool::ThreadPool;
use crate::http::reply::Reply;

/// Answers a request.
pub type Handler = Arc<dyn Fn(Responder) + Send + Sync>;

/// What all workers of a server serve requests with.
#[derive(Clone)]
pub struct Service {
    pub handler: Handler,
    /// Threads that wait for bodies.
    pub bodies: ThreadPool,
    pub writers: Writers,
}

impl Service {
    /// Serves quick requests and one that may take longer, before which the next worker begins to receive: waking that
    /// one takes longer than most requests. Returns whether the worker is to go on.
    pub fn receive(&self, acceptor: &Arc<Acceptor>) -> bool {
        let receiving = acceptor.receive();
        while let Some(request) = acceptor.next(&receiving) {
            let exchange = Exchange::new(request, acceptor.clone());
            if exchange.may_wait() {
                self.serve_in_pool(exchange);
            } else if exchange.is_quick() {
                self.serve(exchange);
            } else {
                drop(receiving);
                self.serve(exchange);
                return true;
            }
        }
        false
    }

    /// Serves a request whose body is still to come, in a thread that may wait for the client.
    fn serve_in_pool(&self, exchange: Exchange) {
        let service = self.clone();
        if let Some(exchange) = self.bodies.run(exchange, move |exchange| service.serve(exchange)) {
            exchange.send(&Reply::busy());
        }
    }

    /// Calls the handler. After a panic only this request gets no reply.
    fn serve(&self, exchange: Exchange) {
        let (id, responder) = (exchange.id().clone(), Responder::new(exchange, self.writers.clone()));
        // the panic is logged already, and leaves no state behind that others use
        let _ = catch_unwind(AssertUnwindSafe(|| id.during(|| (self.handler)(responder))));
    }
}
