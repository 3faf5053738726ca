//! The HTTP interface, in the order of a request's way: `listener` takes it, `turns` lets one of a connection pass at
//! a time, `request` says what it must be, an endpoint reads it, `reply` is the answer, and `replies` writes those
//! that had to wait.

mod listener;
mod turns;

mod request;

mod fields;
mod properties;
mod publish;

mod replies;
mod reply;

use std::time::Duration;

pub use listener::{BindError, Listener, REPLY_THREAD, WORKERS};

use self::replies::Replies;
use self::reply::Reply;
use self::turns::Exchange;
use crate::config::Config;
use crate::mqtt::Publisher;

/// What the endpoints answer with.
#[derive(Clone)]
struct Endpoints {
    publisher: Publisher,
    replies: Replies,
    /// Bytes.
    max_body: usize,
    timeout: Duration,
    max_timeout: Duration,
}

impl Endpoints {
    fn new(config: &Config, publisher: Publisher, replies: Replies) -> Self {
        Self {
            publisher,
            replies,
            max_body: config.http.max_body,
            timeout: config.publish.timeout,
            max_timeout: config.publish.max_timeout,
        }
    }

    /// Finds the endpoint of a request and lets it answer, at once or when the broker has.
    fn answer(&self, mut exchange: Exchange) {
        let Some(request) = exchange.request() else { return };
        let target = request::Target::of(request);
        let refused = match target.path.as_str() {
            "/publish" => match publish::read(self, request, &target) {
                Ok((message, timeout)) => {
                    let replies = self.replies.clone();
                    let answer = move |outcome| replies.push(exchange, Reply::from(outcome));
                    return self.publisher.publish(message, timeout, Box::new(answer));
                }
                Err(refusal) => refusal,
            },
            path => Reply::not_found(path),
        };
        exchange.answer(refused);
    }
}
