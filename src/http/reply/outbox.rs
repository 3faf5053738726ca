//! Replies about messages in the outbox.

use super::{Reply, ReturnCode};

impl Reply {
    /// 404: there is no such message, or none that the sender may see.
    pub fn no_stored_message() -> Self {
        Self::refusal(404, ReturnCode::NotFound, "there is no such message in the outbox, or it is forgotten")
            .not_stored()
    }

    /// 403: the sender may not publish to the topic of the message.
    pub fn may_not_take_back() -> Self {
        Self::refusal(403, ReturnCode::AclDenied, "the token may not publish to the topic of this message")
    }

    /// 409: the message cannot be taken back any more.
    pub fn too_late(what: &str) -> Self {
        Self::refusal(409, ReturnCode::Invalid, format!("too late: {what}"))
    }
}
