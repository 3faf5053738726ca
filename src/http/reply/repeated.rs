//! The replies to requests with an idempotency key: the kept answer of the first one, and why there is none.

use super::body::Content;
use super::{Reply, ReturnCode};
use crate::outbox::Answer;

impl Reply {
    /// What is kept of it.
    pub fn to_answer(&self) -> Answer {
        let value = |name| self.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| &**value);
        Answer {
            status: self.status,
            code: self.code(),
            body: self.body().into(),
            location: value("Location").map(Into::into),
            not_stored: value("Cache-Control").is_some(),
        }
    }

    /// The kept answer to the first request.
    pub fn of_answer(answer: Answer) -> Self {
        let Answer { status, code, body, location, not_stored } = answer;
        let content = Content::Document { content_type: "application/json".into(), bytes: body.into_vec() };
        let reply = Self { content, ..Self::plain(status, ReturnCode::of(code)) };
        let reply = location.into_iter().fold(reply, |reply, location| reply.with("Location", &*location));
        if not_stored { reply.not_stored() } else { reply }
    }

    /// The same as an answer to a repetition. `stores`: the client prefers its messages to be stored.
    pub fn repeated(self, stores: bool) -> Self {
        let reply = self.with("Idempotency-Replayed", "true");
        if stores && reply.status == 202 { reply.stored() } else { reply }
    }

    /// 409: the first request with the key is not answered yet.
    pub fn key_runs() -> Self {
        let error = "not sent again: the first request with this `Idempotency-Key` is not answered yet";
        Self::refusal(409, ReturnCode::Invalid, error).with("Retry-After", super::RETRY_AFTER)
    }

    /// 422: the first request with the key was another one.
    pub fn key_of_another_request() -> Self {
        let error = "not sent: another request had this `Idempotency-Key`: each request needs its own, and a \
                     repetition must be the same request";
        Self::refusal(422, ReturnCode::Invalid, error)
    }

    /// 503: too many requests with keys are not answered yet.
    pub fn too_many_keys() -> Self {
        let error = "not sent: as many requests with an `Idempotency-Key` as `idempotency-keys` allows are not \
                     answered yet";
        Self::refusal(503, ReturnCode::QueueSize, error)
    }
}
