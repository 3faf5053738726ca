//! What is refused for who asks: no token, one that may not or has had its part, a foreign page, a foreign name.

use std::time::Duration;

use super::{Code, Reply, SHOWN, Value};
use crate::message::{TopicFilter, TopicName};
use crate::printable::Printable;

/// How a client without a token learns that it needs one (RFC 6750, 3).
const CHALLENGE: &str = "Bearer realm=\"mqtt-bridge\"";
/// The other way of saying it, for clients that know names and passwords (RFC 7617, 2).
const BASIC_CHALLENGE: &str = "Basic realm=\"mqtt-bridge\", charset=\"UTF-8\"";
/// The first for one whose token is not known.
const CHALLENGE_AGAIN: &str = "Bearer realm=\"mqtt-bridge\", error=\"invalid_token\"";

impl Reply {
    /// 401: there are tokens, and the request has none.
    pub fn token_missing() -> Self {
        let error = "this needs a token: `Authorization: Bearer SECRET`, or `Basic` with its name and its secret";
        Self::unauthorized(error, CHALLENGE)
    }

    /// 401: the request's token is none of ours.
    pub fn token_unknown() -> Self {
        Self::unauthorized("this token is not known", CHALLENGE_AGAIN)
    }

    fn unauthorized(error: &str, challenge: &'static str) -> Self {
        Self::refusal(401, Code::Authentication, error.to_owned())
            .with("WWW-Authenticate", Value::Fixed(challenge))
            .with("WWW-Authenticate", Value::Fixed(BASIC_CHALLENGE))
    }

    /// 403: a page of another origin calls us from its visitor's browser.
    pub fn foreign_page(origin: Option<&str>) -> Self {
        let page = origin.map_or("another site".to_owned(), |origin| format!("`{}`", Printable::new(origin, SHOWN)));
        Self::forbidden(format!("a page of {page} may not call this: its origin is not in `allowed-origins`"))
    }

    /// 403: the request calls us by a name that may be anybody's.
    pub fn foreign_host(host: &str) -> Self {
        let host = Printable::new(host, SHOWN);
        Self::forbidden(format!("the host must be an address of loopback or one of `allowed-hosts`, not `{host}`"))
    }

    /// 403: a proxy, and whoever can reach that, must not get at a daemon that asks for no token.
    pub fn open_behind_proxy(header: &str) -> Self {
        Self::forbidden(format!(
            "`{header}` tells of a proxy, and there are no tokens: configure a [[token]], or `allow-anonymous`"
        ))
    }

    /// 403: the token's filters do not match the topic.
    pub fn topic_denied(token: &str, topic: &TopicName) -> Self {
        let topic = Printable::new(topic.as_str(), SHOWN);
        Self::forbidden(format!("not sent: token `{token}` may not publish to `{topic}`"))
    }

    /// 403: the token's filters do not cover this one.
    pub fn filter_denied(token: &str, filter: &TopicFilter) -> Self {
        let filter = Printable::new(filter.as_str(), SHOWN);
        Self::forbidden(format!("token `{token}` may not read all of `{filter}`"))
    }

    /// 403: whoever answers would publish where the token may not.
    pub fn response_topic_denied(token: &str, topic: &TopicName) -> Self {
        let topic = Printable::new(topic.as_str(), SHOWN);
        Self::forbidden(format!(
            "not sent: token `{token}` may not ask for answers on `{topic}`, which is neither in its `publish` nor in its \
             `response-topics`"
        ))
    }

    /// 403: others want the filter, and this token does not.
    pub fn filter_of_others(token: &str, filter: &TopicFilter) -> Self {
        let filter = Printable::new(filter.as_str(), SHOWN);
        Self::forbidden(format!("`{filter}` was subscribed to by another token: `{token}` cannot end that"))
    }

    /// 429: the token's messages come faster than its `rate`.
    pub fn too_fast(token: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::refusal(429, Code::QueueSize, format!("not sent: token `{token}` is over its rate"))
            .with("Retry-After", Value::Made(seconds.max(1).to_string().into()))
    }

    /// 429: the token has as much as this key of its own allows.
    pub fn share_taken(token: &str, key: &str, what: &str) -> Self {
        Self::refusal(429, Code::QueueSize, format!("token `{token}` has as many {what} as its `{key}` allows"))
            .with_pause()
    }

    /// 429: the token has as many filters of listeners and requests as one may have.
    pub fn readers_share_taken(token: &str, filters: usize, bytes: usize) -> Self {
        let error = format!(
            "token `{token}` has as many topic filters of listeners and requests as one token may have: {filters}, or \
             {bytes} bytes of them"
        );
        Self::refusal(429, Code::QueueSize, error).with_pause()
    }

    fn forbidden(error: String) -> Self {
        Self::refusal(403, Code::AclDenied, error)
    }
}
