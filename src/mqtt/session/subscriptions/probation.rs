//! Which filters are left out because connections end over them. They are found by trying one filter at a time.
//!
//! Some brokers close the connection over a SUBSCRIBE that they do not permit, and retained messages come after the
//! answer. So while a filter is on probation no other is subscribed to, and an end of the connection is its fault.

use std::time::{Duration, Instant};

use super::Subscriptions;
use super::entry::LeftOut;
use super::index::Key;
use super::operation::Pending;
use super::plan::Plan;
use crate::message::{Qos, TopicFilter};

/// For how long a filter is left out the first time, and at most: each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long after the broker's answer a filter stays on probation, where the connection does not say otherwise.
const PROBATION: Duration = Duration::from_millis(250);

/// Why a connection may have ended over a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// Perhaps over a message for a filter, or over a SUBSCRIBE.
    Suspected,
    /// The answer to a SUBSCRIBE or an UNSUBSCRIBE, with a reason code that the MQTT client does not list.
    Refused(u8),
}

/// What is on probation.
pub struct Probation {
    subject: Subject,
    /// `None` before the broker has answered.
    until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The messages that a kept session holds.
    Session,
    Filter(Key),
    /// A filter that was removed meanwhile.
    Removed,
}

/// Over what a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Culprit {
    /// This filter is left out from now on.
    Filter(Finding),
    /// Not certain: the filter may have been one that was tried before. So the last one is tried first next time.
    Suspect,
    /// The messages of a kept session.
    Session,
    /// Not known, or no filter.
    Unknown,
}

/// A filter that is left out from now on.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The filter.
    pub filter: TopicFilter,
    /// For how long.
    pub pause: Duration,
    /// The reason code, if the broker refused it.
    pub code: Option<u8>,
}

impl Subscriptions {
    /// Whether a filter is subscribed to alone, with a probation.
    pub(super) fn is_tried_alone(&self, key: Key) -> bool {
        let is_careful = self.connection.is_some_and(|link| link.probation.is_some());
        is_careful || self.entries.get(&key).is_some_and(|entry| entry.left_out.is_some())
    }

    /// Whether a filter must wait until another one has passed.
    pub(super) fn waits_for_probation(&self, key: Key) -> bool {
        self.probation.is_some() || (self.is_tried_alone(key) && self.has_unanswered())
    }

    /// The suspect, if it is to be subscribed to now.
    pub(super) fn next_suspect(&mut self) -> Option<(Key, Qos)> {
        let key = self.suspect.filter(|key| !self.waits_for_probation(*key))?;
        if let Plan::Subscribe(qos) = self.plan(key) {
            return Some((key, qos));
        }
        self.suspect = None;
        None
    }

    /// A SUBSCRIBE for a filter was handed over.
    pub(super) fn begin_probation(&mut self, key: Key) {
        self.suspect = self.suspect.filter(|suspect| *suspect != key);
        self.tried_alone += 1;
        self.probation = Some(Probation { subject: Subject::Filter(key), until: None });
    }

    /// A careful connection resumed a session: its messages come before any filter is tried.
    pub(super) fn begin_probation_of_session(&mut self, length: Duration, now: Instant) {
        self.probation = Some(Probation { subject: Subject::Session, until: Some(now + length) });
    }

    /// The broker has answered for a filter.
    pub(super) fn answered_on_probation(&mut self, key: Key, is_granted: bool, now: Instant) {
        let length = self.probation_length(key);
        if let Some(probation) = self.probation.as_mut().filter(|probation| probation.subject == Subject::Filter(key)) {
            // no messages come after a refusal
            probation.until = Some(if is_granted { now + length } else { now });
            self.end_probation(now);
        }
    }

    /// How long a filter is on probation: at least as long as when it was found, if it was left out.
    fn probation_length(&self, key: Key) -> Duration {
        let of_connection = self.connection.and_then(|link| link.probation);
        let of_filter = self.entries.get(&key).and_then(|entry| entry.left_out).map(|left_out| left_out.probation);
        of_connection.max(of_filter).unwrap_or(PROBATION)
    }

    /// When the probation ends, where that is known.
    pub(super) fn probation_ends(&self) -> Option<Instant> {
        self.probation.as_ref().and_then(|probation| probation.until)
    }

    /// Ends a probation that is over: the filter has passed.
    pub(super) fn end_probation(&mut self, now: Instant) {
        if self.probation_ends().is_some_and(|until| until <= now)
            && let Some(Probation { subject: Subject::Filter(key), .. }) = self.probation.take()
        {
            self.change(key, |entry| entry.left_out = None);
        }
    }

    /// Lets several filters be subscribed to together again, when everything that was wanted when the connection came
    /// about has passed.
    pub(super) fn end_carefulness(&mut self) {
        if self.initial.is_empty() && self.probation.is_none() && !self.has_unanswered() {
            self.suspect = None;
            if let Some(link) = &mut self.connection {
                link.probation = None;
            }
        }
    }

    /// A filter is removed, and its key may soon be another's.
    pub(super) fn forget_on_probation(&mut self, key: Key) {
        self.suspect = self.suspect.filter(|suspect| *suspect != key);
        if let Some(probation) = self.probation.as_mut().filter(|probation| probation.subject == Subject::Filter(key)) {
            probation.subject = Subject::Removed;
        }
    }

    /// The connection ended over what the broker sent, or over an operation. Says over which filter: one is left out
    /// for a while if it was the only one that was tried, or had been left out before.
    pub fn breached(&mut self, breach: Breach, now: Instant) -> Culprit {
        let left_out = match (breach, self.probation.take().map(|probation| probation.subject)) {
            (Breach::Refused(code), _) => self.refused_unlisted(code, now),
            (Breach::Suspected, Some(Subject::Session)) => return Culprit::Session,
            (Breach::Suspected, Some(Subject::Filter(key))) => {
                let was_left_out = self.entries.get(&key).is_some_and(|entry| entry.left_out.is_some());
                if self.tried_alone > 1 && !was_left_out {
                    self.suspect = Some(key);
                    return Culprit::Suspect;
                }
                self.leave_out(key, None, now)
            }
            (Breach::Suspected, Some(Subject::Removed) | None) => None,
        };
        left_out.map_or(Culprit::Unknown, Culprit::Filter)
    }

    /// The broker refused an unanswered operation. It is known which one if there was only one.
    fn refused_unlisted(&mut self, code: u8, now: Instant) -> Option<Finding> {
        let pending: Vec<&Pending> = self.pending().collect();
        let &[only] = pending.as_slice() else { return None };
        let &[key] = only.keys.as_slice() else { return None };
        if only.is_subscribe {
            return self.leave_out(key, Some(code), now);
        }
        // an UNSUBSCRIBE is not repeated, even if the session keeps the filter
        self.settle(key, |entry| entry.unsubscribed(Some(code)));
        self.change(key, |entry| entry.may_be_kept = false);
        None
    }

    fn leave_out(&mut self, key: Key, code: Option<u8>, now: Instant) -> Option<Finding> {
        let entry = self.entries.get(&key)?;
        let pause = entry.left_out.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let finding = Finding { filter: entry.filter.clone(), pause, code };
        let left_out = LeftOut { until: Some(now + pause), pause, probation: self.probation_length(key), code };
        self.settle(key, |entry| entry.leave_out(left_out));
        self.deadlines.insert((now + pause, key));
        Some(finding)
    }
}
