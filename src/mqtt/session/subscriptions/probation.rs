//! Which filters are left out, as connections end over them: found by asking for one at a time.
//!
//! Some brokers close the connection over a SUBSCRIBE that they do not permit, and what one keeps for a filter comes
//! behind its answer. So while a filter is on probation nothing else is asked, and it is to blame for such an end.

use std::time::{Duration, Instant};

use super::due::Due;
use super::entry::LeftOut;
use super::{Key, Subscriptions};
use crate::message::{Qos, TopicFilter};

/// How long a filter is left out for the first time, and how long at most: each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long after the broker's answer a filter stays on probation, where the connection does not say otherwise.
const PROBATION: Duration = Duration::from_millis(250);

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// Perhaps what the broker sent for a filter, or the question for it.
    Suspected,
    /// The answer to a SUBSCRIBE or an UNSUBSCRIBE, with a reason code that the MQTT client does not know.
    Refused(u8),
}

/// What is on probation: nothing else is asked.
pub struct Probation {
    whose: Whose,
    /// `None` before the broker has answered.
    until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// What the session still holds that the broker kept.
    Session,
    Filter(Key),
    /// A filter that is forgotten meanwhile.
    Nobody,
}

/// Over what a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Culprit {
    /// This filter is left out from now on.
    Filter(Finding),
    /// A filter is to be asked for before all others next time, as one of those may be to blame that were asked before it.
    Suspect,
    /// It is what the session brings that the broker kept.
    Session,
    /// Nothing.
    Unknown,
}

/// A filter that is left out from now on.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub filter: TopicFilter,
    /// For how long.
    pub pause: Duration,
    /// The reason code, if the broker refused it.
    pub code: Option<u8>,
}

impl<R> Subscriptions<R> {
    /// Whether a filter is asked for alone, and is on probation then.
    pub(super) fn is_tried_alone(&self, key: Key) -> bool {
        let is_careful = self.connection.is_some_and(|link| link.probation.is_some());
        is_careful || self.entries.get(&key).is_some_and(|entry| entry.left_out.is_some())
    }

    /// Whether it must wait until another one has passed.
    pub(super) fn waits_for_probation(&self, key: Key) -> bool {
        self.probation.is_some() || (self.is_tried_alone(key) && self.has_unanswered())
    }

    /// The suspect, if it is to be asked for now.
    pub(super) fn due_suspect(&mut self) -> Option<(Key, Qos)> {
        let key = self.suspect.filter(|key| !self.waits_for_probation(*key))?;
        if let Due::Subscribe(qos) = self.due(key, self.carrier(key)) {
            return Some((key, qos));
        }
        self.suspect = None;
        None
    }

    /// A filter was asked for.
    pub(super) fn begin_probation(&mut self, key: Key) {
        self.suspect = self.suspect.filter(|suspect| *suspect != key);
        self.asked_alone += 1;
        self.probation = Some(Probation { whose: Whose::Filter(key), until: None });
    }

    /// A careful connection resumed a session: what that still holds comes before anything is asked.
    pub(super) fn begin_probation_of_session(&mut self, length: Duration, now: Instant) {
        self.probation = Some(Probation { whose: Whose::Session, until: Some(now + length) });
    }

    /// The broker has answered for a filter.
    pub(super) fn answered_on_probation(&mut self, key: Key, is_granted: bool, now: Instant) {
        let length = self.patience(key);
        if let Some(probation) = self.probation.as_mut().filter(|probation| probation.whose == Whose::Filter(key)) {
            // a refusal brings nothing
            probation.until = Some(if is_granted { now + length } else { now });
            self.end_probation(now);
        }
    }

    /// How long a filter is on probation: as long as it took to find out about it, if it was left out.
    fn patience(&self, key: Key) -> Duration {
        let of_connection = self.connection.and_then(|link| link.probation);
        let of_filter = self.entries.get(&key).and_then(|entry| entry.left_out).map(|left_out| left_out.patience);
        of_connection.max(of_filter).unwrap_or(PROBATION)
    }

    /// When the probation ends, where that is known.
    pub(super) fn probation_ends(&self) -> Option<Instant> {
        self.probation.as_ref().and_then(|probation| probation.until)
    }

    /// Ends the probation if it is over: nothing is wrong with the filter.
    pub(super) fn end_probation(&mut self, now: Instant) {
        if self.probation_ends().is_some_and(|until| until <= now)
            && let Some(Probation { whose: Whose::Filter(key), .. }) = self.probation.take()
        {
            self.change(key, |entry| entry.left_out = None);
        }
    }

    /// Asks for several filters together again, when all that was wanted when the connection came about has passed.
    pub(super) fn end_carefulness(&mut self) {
        if self.first.is_empty() && self.probation.is_none() && !self.has_unanswered() {
            self.suspect = None;
            if let Some(link) = &mut self.connection {
                link.probation = None;
            }
        }
    }

    /// A filter is forgotten; its key may be another's soon.
    pub(super) fn forget_on_probation(&mut self, key: Key) {
        self.suspect = self.suspect.filter(|suspect| *suspect != key);
        if let Some(probation) = self.probation.as_mut().filter(|probation| probation.whose == Whose::Filter(key)) {
            probation.whose = Whose::Nobody;
        }
    }

    /// The connection ended over what the broker sent, or over a question of ours. Says whose fault that is: a filter is
    /// left out for a while if it was the only one that was asked for, or was found before.
    pub fn breached(&mut self, breach: Breach, now: Instant) -> Culprit {
        let left_out = match (breach, self.probation.take().map(|probation| probation.whose)) {
            (Breach::Refused(code), _) => self.refused_unlisted(code, now),
            (Breach::Suspected, Some(Whose::Session)) => return Culprit::Session,
            (Breach::Suspected, Some(Whose::Filter(key))) => {
                let is_known = self.entries.get(&key).is_some_and(|entry| entry.left_out.is_some());
                if self.asked_alone > 1 && !is_known {
                    self.suspect = Some(key);
                    return Culprit::Suspect;
                }
                self.leave_out(key, None, now)
            }
            (Breach::Suspected, Some(Whose::Nobody) | None) => None,
        };
        left_out.map_or(Culprit::Unknown, Culprit::Filter)
    }

    /// One of what the broker had not answered was refused: the only one.
    fn refused_unlisted(&mut self, code: u8, now: Instant) -> Option<Finding> {
        let mut unanswered = self.handed_over.iter().chain(self.asked.values());
        let (only, more) = (unanswered.next()?, unanswered.next());
        let &[key] = only.keys.as_slice() else { return None };
        if more.is_some() {
            return None;
        }
        if only.is_subscribe {
            return self.leave_out(key, Some(code), now);
        }
        // it is not asked again, be it that the session keeps it
        self.tell(key, |entry| entry.unsubscribed(Some(code)));
        self.change(key, |entry| entry.may_be_kept = false);
        None
    }

    fn leave_out(&mut self, key: Key, code: Option<u8>, now: Instant) -> Option<Finding> {
        let entry = self.entries.get(&key)?;
        let pause = entry.left_out.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let finding = Finding { filter: entry.filter.clone(), pause, code };
        let left_out = LeftOut { until: Some(now + pause), pause, patience: self.patience(key), code };
        self.tell(key, |entry| entry.leave_out(left_out));
        self.deadlines.insert((now + pause, key));
        Some(finding)
    }
}
