//! What is refused for the caller: its token lacks a right or its quota is reached, its page or its host is foreign.

use std::time::Duration;

use super::{Reply, ReturnCode, shown};
use crate::message::{TopicFilter, TopicName};

/// The challenge to a request without a token (RFC 6750, 3).
const BEARER: &str = "Bearer realm=\"mqtt-bridge\"";
/// The challenge for clients that send a name and a password (RFC 7617, 2).
const BASIC: &str = "Basic realm=\"mqtt-bridge\", charset=\"UTF-8\"";
/// The challenge to a request with an unknown token.
const BEARER_INVALID: &str = "Bearer realm=\"mqtt-bridge\", error=\"invalid_token\"";

impl Reply {
    /// 401: tokens are configured, and the request has none.
    pub fn token_missing() -> Self {
        let error = "this needs a token: `Authorization: Bearer SECRET`, or `Basic` with its name and its secret";
        Self::unauthorized(error, BEARER)
    }

    /// 401: the token is not a configured one.
    pub fn token_unknown() -> Self {
        Self::unauthorized("this token is not known", BEARER_INVALID)
    }

    fn unauthorized(error: &str, challenge: &'static str) -> Self {
        Self::refusal(401, ReturnCode::Authentication, error)
            .with("WWW-Authenticate", challenge)
            .with("WWW-Authenticate", BASIC)
    }

    /// 403: the request comes from a web page of another origin.
    pub fn origin_denied(origin: Option<&str>) -> Self {
        let page = origin.map_or("another site".to_owned(), |origin| format!("`{}`", shown(origin)));
        Self::forbidden(format!("a page of {page} may not call this: its origin is not in `allowed-origins`"))
    }

    /// 404: there is no hook of this name, or the rest of the path is wrong. The reply does not say which.
    pub fn hook_unknown() -> Self {
        let error = "there is no such hook, or the secret in the path is wrong".to_owned();
        Self::refusal(404, ReturnCode::NotFound, error)
    }

    /// 403: a browser calls a hook by GET, perhaps for a page of another origin.
    pub fn browser_denied(hook: &str) -> Self {
        Self::forbidden(format!("not sent: browsers may not call hook `{hook}`: its `allow-browsers` is false"))
    }

    /// 403: the signature of a call is missing or wrong.
    pub fn signature_denied(hook: &str, what: &str) -> Self {
        Self::forbidden(format!("not sent: hook `{hook}`: {what}"))
    }

    /// 503: a request that a browser sends in advance (a prefetch or a link preview) does nothing. The browser could
    /// show a success instead of the reply to the real request.
    pub fn prefetch_refused() -> Self {
        Self::refusal(503, ReturnCode::Unknown, "not sent: a prefetch or a link preview does nothing".to_owned())
    }

    /// 403: the host that the request names may be anyone's.
    pub fn host_denied(host: &str) -> Self {
        let host = shown(host);
        Self::forbidden(format!("the host must be an address of loopback or one of `allowed-hosts`, not `{host}`"))
    }

    /// 403: a proxy passes on the request, and without tokens everyone who can reach the proxy could publish.
    pub fn proxy_without_tokens(header: &str) -> Self {
        Self::forbidden(format!(
            "`{header}` tells of a proxy, and there are no tokens: configure a [[token]], or `allow-anonymous`"
        ))
    }

    /// 403: no filter in the token's `publish` matches the topic.
    pub fn topic_denied(token: &str, topic: &TopicName) -> Self {
        Self::forbidden(format!("not sent: token `{token}` may not publish to `{}`", shown(topic.as_str())))
    }

    /// 403: no filter in the token's `subscribe` covers this filter.
    pub fn filter_denied(token: &str, filter: &TopicFilter) -> Self {
        Self::forbidden(format!("token `{token}` may not read all of `{}`", shown(filter.as_str())))
    }

    /// 403: the responder would publish where the token may not.
    pub fn response_topic_denied(token: &str, topic: &TopicName) -> Self {
        let topic = shown(topic.as_str());
        Self::forbidden(format!(
            "not sent: token `{token}` may not ask for answers on `{topic}`, which is neither in its `publish` nor in its \
             `response-topics`"
        ))
    }

    /// 403: other tokens have subscribed to the filter, and this one has not.
    pub fn subscription_of_others(token: &str, filter: &TopicFilter) -> Self {
        let filter = shown(filter.as_str());
        Self::forbidden(format!("`{filter}` was subscribed to by another token: `{token}` cannot end that"))
    }

    /// 429: the messages of a token or a hook come faster than its `rate`.
    pub fn rate_exceeded(kind: &str, name: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let error = format!("not sent: {kind} `{name}` is over its rate");
        Self { error: Some(error), ..Self::plain(429, ReturnCode::QueueSize) }
            .with("Retry-After", seconds.max(1).to_string())
    }

    /// 429: the token holds as much as this key of its configuration allows.
    pub fn quota_reached(token: &str, key: &str, what: &str) -> Self {
        Self::refusal(429, ReturnCode::QueueSize, format!("token `{token}` has as many {what} as its `{key}` allows"))
    }

    /// 429: the streams and requests of the token have as many filters as those of one token may have.
    pub fn reader_quota_reached(token: &str, filters: usize, bytes: usize) -> Self {
        let error = format!(
            "token `{token}` has as many topic filters of listeners and requests as one token may have: {filters}, or \
             {bytes} bytes of them"
        );
        Self::refusal(429, ReturnCode::QueueSize, error)
    }

    fn forbidden(error: String) -> Self {
        Self::refusal(403, ReturnCode::AclDenied, error)
    }
}
