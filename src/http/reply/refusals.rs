//! What is refused for the request itself, or since the bridge is overloaded or not ready.

use std::time::Duration;

use super::{Reply, ReturnCode, shown};

impl From<String> for Reply {
    /// 400: `input` has found the rule that the request breaks.
    fn from(error: String) -> Self {
        Self::invalid(error)
    }
}

impl Reply {
    /// 400: the request breaks a rule.
    pub fn invalid(error: String) -> Self {
        Self::refusal(400, ReturnCode::Invalid, error)
    }

    /// 400: the connection ended before the last chunk of a body (RFC 9112, 8).
    pub fn chunks_cut_off() -> Self {
        let error = "not sent: the connection ended with the body, and nothing tells whether all of its chunks came";
        Self::invalid(error.to_owned())
    }

    /// 404: there is no such path.
    pub fn not_found(path: &str) -> Self {
        let error = format!("there is nothing at `{}`: try `POST /publish`", shown(path));
        Self::refusal(404, ReturnCode::NotFound, error)
    }

    /// 404: no retained message came within this time after the broker's answer.
    pub fn nothing_retained(waited: Duration) -> Self {
        let error = format!(
            "no retained message came within {} s (`retained-wait`): MQTT has no answer that says that there is none",
            waited.as_secs_f64()
        );
        Self::refusal(404, ReturnCode::NotFound, error).not_stored()
    }

    /// 405: the path has other methods, which `Allow` lists (RFC 9110, 15.5.6).
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let error = format!("the method must be {}", allowed.replace(", ", " or "));
        Self::refusal(405, ReturnCode::Invalid, error).with("Allow", allowed)
    }

    /// 408: the request was not complete in time.
    pub fn request_timeout() -> Self {
        Self::refusal(408, ReturnCode::Invalid, "not sent: the request was not complete within `request-timeout`")
    }

    /// 411: the length of the body is unknown.
    pub fn length_required() -> Self {
        let error = "the body must come with `Content-Length`, or with exactly `Transfer-Encoding: chunked`";
        Self::refusal(411, ReturnCode::Invalid, error)
    }

    /// 411: HTTP/1.0 has no other way to tell where a body ends (RFC 9112, 6.3).
    pub fn old_body_without_length() -> Self {
        Self::refusal(411, ReturnCode::Invalid, "not sent: in HTTP/1.0 a body must come with `Content-Length`")
    }

    /// 411: an empty payload would clear the retained message, and may be one that was lost on the way.
    pub fn empty_without_length() -> Self {
        let error = "not sent: an empty body clears what is retained only with `Content-Length: 0`, \
                     and so does `DELETE /topics/{topic}`";
        Self::refusal(411, ReturnCode::Invalid, error)
    }

    /// 413: the body is longer than `max-body`.
    pub fn body_too_large(max: usize) -> Self {
        Self::refusal(413, ReturnCode::PayloadSize, format!("not sent: the body is over the limit of {max} bytes"))
    }

    /// 414: the request target is too long.
    pub fn target_too_long(max: usize) -> Self {
        Self::refusal(414, ReturnCode::Invalid, format!("the request target is over the limit of {max} bytes"))
    }

    /// 415: the body is not JSON, or is compressed.
    pub fn unsupported_media_type(error: String) -> Self {
        Self::refusal(415, ReturnCode::Invalid, error)
    }

    /// 431: the head is too long (RFC 6585, 5).
    pub fn head_too_large(max: u64, max_headers: usize) -> Self {
        let error = format!("the head of the request is over the limit of {max} bytes or {max_headers} headers");
        Self::refusal(431, ReturnCode::Invalid, error)
    }

    /// 503: there are more requests than the bridge can serve.
    pub fn busy() -> Self {
        Self::refusal(503, ReturnCode::QueueSize, "not sent: too many requests at a time")
    }

    /// 503: some of many messages were not published.
    pub fn unavailable() -> Self {
        Self::plain(503, ReturnCode::Unknown)
    }

    /// 503: the bridge does not do all that it is configured for.
    pub fn not_ready(missing: String) -> Self {
        Self::refusal(503, ReturnCode::NoConnection, missing)
    }

    /// 503: all requests together use as much memory as they may, and the reply would need more.
    pub fn document_without_room() -> Self {
        let error = "all requests together hold as much memory as they may: there is none for so long an answer";
        Self::refusal(503, ReturnCode::QueueSize, error)
    }

    /// 503: a message came, and there was no memory for it until it was read.
    pub fn message_without_room() -> Self {
        let error = "there was not enough memory for the received messages, so that one was dropped";
        Self::refusal(503, ReturnCode::QueueSize, error.to_owned())
    }

    /// 504: the response of a device came, and there is no memory for it. To repeat the request could make the device
    /// act twice.
    pub fn response_without_room() -> Self {
        let error = "sent and answered, but all requests together hold as much memory as they may, so that the answer \
                     is dropped";
        Self::refusal(504, ReturnCode::ConnectionLost, error)
    }

    /// 505: only HTTP/1.0 and HTTP/1.1 are supported.
    pub fn version_not_supported() -> Self {
        Self::refusal(505, ReturnCode::NotSupported, "the version must be HTTP/1.1 or HTTP/1.0")
    }
}
