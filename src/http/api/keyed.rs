//! The idempotency key of a request, before anything of the request is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Call;
use super::storing::When;
use crate::http::idempotency::{Begun, Fingerprint, Outcomes, Running, Settling, Tell};
use crate::http::input::idempotency_key::IdempotencyKey;
use crate::http::input::prefer::prefers_async;
use crate::http::reply::{Reply, Told};
use crate::message::Message;
use crate::outbox::NotStored;

/// What a request is to do.
pub enum Turn {
    /// To publish: it has no key, or is the first with its key.
    Publishes(Option<Arc<Running>>),
    /// Nothing: the first request with its key was answered so.
    Repeats(Reply),
}

impl Call<'_> {
    /// Whether the request is to be done, by its key if it has one.
    /// `unknown` makes the answer where nobody knows what became of the first request.
    ///
    /// # Errors
    /// 400 if the key breaks the rule, 409, 422 and 503 of [`Keys::begin`](crate::http::Keys::begin).
    pub fn turn(
        &self,
        ttl: Option<Duration>,
        request: impl FnOnce() -> Fingerprint,
        unknown: impl FnOnce() -> Reply,
    ) -> Result<Turn, Reply> {
        let Some(key) = IdempotencyKey::of(self.head()?)? else { return Ok(Turn::Publishes(None)) };
        let request = request().with_ttl(ttl).finish();
        match self.context.keys.begin(&key, self.principal.name(), request, ttl.is_some())? {
            Begun::First(running) => Ok(Turn::Publishes(Some(Arc::new(running)))),
            Begun::Repeats(answer) => {
                let (reply, is_stored) = (answer.map_or_else(unknown, Reply::of_answer), ttl.is_some());
                Ok(Turn::Repeats(reply.repeated(is_stored && prefers_async(self.head()?))))
            }
        }
    }

    /// The same for these messages.
    pub fn turn_of<O: Outcomes>(
        &self,
        endpoint: &str,
        messages: &[Message],
        when: When,
        reply: impl Fn(Told<O>) -> Reply,
    ) -> Result<Turn, Reply> {
        let unknown = || reply(Told::Published(O::unknown(messages.len())));
        self.turn(when.ttl(), || Fingerprint::of(endpoint).with_messages(messages), unknown)
    }
}

/// Starts to publish `count` messages, when it is on disk that the request with this key runs. `told` is told what
/// became of them, after the key. `start` gets the time that is left.
pub fn start<O: Outcomes>(
    (key, count, when): (Option<Arc<Running>>, usize, When),
    reply: impl Fn(Told<O>) -> Reply + Clone + Send + Sync + 'static,
    told: impl FnOnce(Told<O>) + Send + 'static,
    start: impl FnOnce(Tell<O>, Duration) + Send + 'static,
) {
    let timeout = when.timeout();
    let Some(key) = key else { return start(Tell::only(told), timeout) };
    let tell = Settling::tell(key.clone(), reply, count, told);
    begin(Some(key), timeout, move |begun| match begun {
        Ok(left) => start(tell, left),
        Err(error) => (tell.told)(Told::KeyNotStored(error)),
    });
}

/// Calls `then` when it is on disk that the request with this key runs, at once without a key, with what is left of the
/// timeout.
pub fn begin(
    key: Option<Arc<Running>>,
    timeout: Duration,
    then: impl FnOnce(Result<Duration, NotStored>) + Send + 'static,
) {
    let Some(key) = key else { return then(Ok(timeout)) };
    let since = Instant::now();
    let recorded = move |recorded: Result<(), _>| then(recorded.map(|()| timeout.saturating_sub(since.elapsed())));
    key.record(timeout, Box::new(recorded));
}
