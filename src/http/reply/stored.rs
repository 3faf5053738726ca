//! The reply where the outbox has messages, or does not take them.

use serde::Serialize;

use super::{Reply, ReturnCode};
use crate::mqtt::Outcome;
use crate::outbox::{Id, NotStored};

/// The header that says which preference was followed.
const PREFERENCE: &str = "Preference-Applied";

/// What became of the messages of a request; `O` has the outcome of one or of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<O = Outcome> {
    /// They were for the broker.
    Published(O),
    /// They were for the outbox, which has them by these identifiers.
    Stored(Result<Vec<Id>, NotStored>),
    /// Nothing was done, as the outbox does not have the idempotency key.
    KeyNotStored(NotStored),
}

impl<O> Told<O> {
    /// Whether the messages are in the outbox, or may be.
    pub fn may_be_stored(&self) -> bool {
        matches!(self, Self::Stored(Ok(_) | Err(NotStored::Unknown | NotStored::Uncertain(_))))
    }
}

impl Told<()> {
    /// The same of messages with outcomes. There must be none yet.
    pub fn of_messages<O>(self) -> Told<O> {
        match self {
            Self::Stored(stored) => Told::Stored(stored),
            Self::KeyNotStored(error) => Told::KeyNotStored(error),
            Self::Published(()) => Told::Stored(Err(NotStored::Unknown)),
        }
    }
}

#[derive(Serialize)]
struct StoredJson {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<String>>,
}

impl From<Told> for Reply {
    /// As its outcome, or 202 with `Location`.
    fn from(told: Told) -> Self {
        match told {
            Told::Published(outcome) => Self::from(outcome),
            Told::Stored(Ok(ids)) => {
                let id = ids.first().map(ToString::to_string);
                let location = id.as_deref().map(|id| format!("/outbox/{id}"));
                let reply = Self::accepted().with_json(&StoredJson { code: 0, id, ids: None }).stored();
                location.into_iter().fold(reply, |reply, location| reply.with("Location", location))
            }
            Told::Stored(Err(error)) => Self::from(error),
            Told::KeyNotStored(error) => Self::key_not_stored(&error),
        }
    }
}

impl From<Told<Vec<Outcome>>> for Reply {
    /// 200 or 207 with the outcome of each, or 202.
    fn from(told: Told<Vec<Outcome>>) -> Self {
        match told {
            Told::Published(outcomes) => Self::results(outcomes),
            Told::Stored(Ok(ids)) => {
                let ids = ids.iter().map(ToString::to_string).collect();
                Self::accepted().with_json(&StoredJson { code: 0, id: None, ids: Some(ids) }).stored()
            }
            Told::Stored(Err(error)) => Self::from(error),
            Told::KeyNotStored(error) => Self::key_not_stored(&error),
        }
    }
}

impl From<NotStored> for Reply {
    fn from(error: NotStored) -> Self {
        let (status, code) = match error {
            NotStored::Off => (501, ReturnCode::NotSupported),
            NotStored::Full(_) | NotStored::Failing(_) => (507, ReturnCode::QueueSize),
            NotStored::Stopping => (503, ReturnCode::NoConnection),
            NotStored::Busy => (503, ReturnCode::QueueSize),
            NotStored::Unknown | NotStored::Uncertain(_) => (504, ReturnCode::ConnectionLost),
        };
        Self::refusal(status, code, error.to_string())
    }
}

impl Reply {
    /// The same where the messages are on disk, and are published later: the client has asked for that (RFC 7240, 3).
    pub(super) fn stored(self) -> Self {
        self.with(PREFERENCE, "respond-async")
    }

    /// The same for a client that has not asked for it.
    pub fn without_preference(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != PREFERENCE);
        self
    }

    /// The reply to a request that stores nothing: why the outbox did not answer.
    pub fn outbox_does_not_answer(error: NotStored) -> Self {
        let reply = Self::from(error);
        let error = reply.error().trim_start_matches("not stored: ").to_owned();
        Self { error: Some(error), ..reply }
    }

    /// 507 or 503: nothing was sent, as a repetition after a restart would not be known.
    pub fn key_not_stored(error: &NotStored) -> Self {
        let (status, code) = match error {
            NotStored::Stopping => (503, ReturnCode::NoConnection),
            NotStored::Busy => (503, ReturnCode::QueueSize),
            _ => (507, ReturnCode::QueueSize),
        };
        let words = match error {
            NotStored::Unknown => "the disk of the outbox did not answer in time".to_owned(),
            NotStored::Uncertain(words) => format!("the outbox cannot be used: {words}"),
            error => error.to_string(),
        };
        Self::refusal(status, code, format!("not sent, as its idempotency key is not on disk: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_stored_has_a_status_that_says_whether_it_may_be() {
        let words = |error: &NotStored| error.to_string();
        for (error, status, may_be_stored) in [
            (NotStored::Off, 501, false),
            (NotStored::Full("1 message".to_owned()), 507, false),
            (NotStored::Failing("EIO".into()), 507, false),
            (NotStored::Busy, 503, false),
            (NotStored::Stopping, 503, false),
            (NotStored::Unknown, 504, true),
        ] {
            let told: Told = Told::Stored(Err(error.clone()));
            assert_eq!(told.may_be_stored(), may_be_stored, "{error}");
            let reply = Reply::from(told);
            assert_eq!((reply.status(), reply.error()), (status, words(&error).as_str()));
            let lookup = Reply::outbox_does_not_answer(error.clone());
            assert!(lookup.status() == status && !lookup.error().contains("not stored"), "{lookup:?}");
            assert!(!Told::<Outcome>::KeyNotStored(error).may_be_stored(), "nothing was done");
        }
    }

    #[test]
    fn a_key_that_is_not_on_disk_is_never_an_unknown_outcome() {
        let reply = |error| Reply::from(Told::<Outcome>::KeyNotStored(error));
        let late = reply(NotStored::Unknown);
        let words = "not sent, as its idempotency key is not on disk: the disk of the outbox did not answer in time";
        assert_eq!((late.status(), late.error()), (507, words));
        assert_eq!(reply(NotStored::Failing("EIO".into())).status(), 507);
        assert_eq!([NotStored::Busy, NotStored::Stopping].map(|error| reply(error).status()), [503, 503]);
    }
}
