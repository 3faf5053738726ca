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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::Told;
    use crate::mqtt::{Failure, Published};
    use crate::outbox::Id;

    #[test]
    fn a_kept_answer_is_the_same_reply_again() {
        let acknowledged = || Ok(Published::Acknowledged { packet_identifier: 7, reason_code: Some(16) });
        let stored: Told = Told::Stored(Ok(vec![Id { file: 1, sequence: 2 }]));
        for reply in [
            Reply::from(Told::Published(acknowledged())),
            Reply::from(Told::Published(acknowledged())).not_stored(),
            Reply::from(Told::Published(Err(Failure::Unknown))),
            Reply::from(Told::Published(vec![acknowledged(), Err(Failure::Busy)])),
            Reply::from(stored).without_preference(),
            Reply::document("application/json", b"[]".to_vec()),
        ] {
            let again = Reply::of_answer(reply.to_answer());
            assert_eq!((again.status(), again.code(), again.body()), (reply.status(), reply.code(), reply.body()));
            assert_eq!(again.headers().collect::<Vec<_>>(), reply.headers().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_repetition_says_that_it_is_one_and_that_its_preference_was_followed() {
        let headers = |reply: Reply| reply.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(headers(Reply::success().repeated(true)), ["Idempotency-Replayed"]);
        assert_eq!(headers(Reply::accepted().repeated(false)), ["Idempotency-Replayed"]);
        assert_eq!(headers(Reply::accepted().repeated(true)), ["Idempotency-Replayed", "Preference-Applied"]);
    }
}
