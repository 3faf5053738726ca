//! What is done about connections that end over a topic filter: publishing goes on, and all others do.

use std::time::Duration;

use super::Driver;
use super::rival::STABLE;
use crate::mqtt::pipe::{Cause, Lost};
use crate::mqtt::reason::Reason;
use crate::mqtt::subscriptions::{Breach, Finding};
use crate::printable::Printable;

/// So many connections in a row that end over a packet that cannot be decoded, or our SUBSCRIBE, are followed by one that publishes first,
/// and asks for one topic filter at a time.
const MAX_IN_A_ROW: u32 = 2;
/// How long a filter is on probation then. It is twice as long each time that nothing is found out, up to 8 s: what the
/// broker keeps may be long, and the link slow.
const PROBATION: Duration = Duration::from_millis(250);
const MAX_DOUBLINGS: u32 = 5;
/// How much of a topic filter a record shows, in bytes.
const SHOWN: usize = 1024;

/// The connections that ended so.
#[derive(Default)]
pub struct Breaches {
    /// One after the other, without a stable one in between.
    in_a_row: u32,
}

impl Breaches {
    /// How long each filter is on probation on the next connection, if there is need for that.
    pub fn probation(&self) -> Option<Duration> {
        let doublings = self.in_a_row.checked_sub(MAX_IN_A_ROW)?.min(MAX_DOUBLINGS);
        Some(PROBATION * 2u32.pow(doublings))
    }

    /// A connection ended so, after it had held so long; `found` says whether it is known over which filter.
    fn ended(&mut self, breach: Breach, held: Duration, found: bool) {
        self.ended_otherwise(held);
        self.in_a_row += 1;
        match breach {
            // it is known that one of several was refused: no use in asking for them together again
            Breach::Refused(_) if !found => self.in_a_row = self.in_a_row.max(MAX_IN_A_ROW),
            _ if found => self.in_a_row = self.in_a_row.min(MAX_IN_A_ROW),
            _ => {}
        }
    }

    /// A connection ended for any other reason.
    fn ended_otherwise(&mut self, held: Duration) {
        if held >= STABLE {
            self.in_a_row = 0;
        }
    }
}

impl Driver {
    /// A connection ended, and perhaps over what the broker sent for a topic filter. Returns that filter, if it is known.
    pub(super) fn look_for_a_filter(&mut self, lost: &Lost, held: Duration, session_present: bool) -> Option<Finding> {
        let Some(breach) = lost.breach() else {
            self.breaches.ended_otherwise(held);
            return None;
        };
        let found = self.subscriber.breached(breach);
        // what nothing was asked for comes from the session
        let is_of_session = found.is_none() && session_present && self.breaches.probation().is_some();
        if is_of_session && breach == Breach::Suspected {
            log::error!("the session that the broker keeps is left, with what it still holds for us: {lost}");
            self.session_spoilt = true;
        }
        self.breaches.ended(breach, held, found.is_some());
        found
    }

    /// Says which filter is left out, and what to do about it.
    pub(super) fn tell_left_out(finding: &Finding, lost: &Lost) {
        let topic = Printable::new(finding.filter.as_str(), SHOWN);
        let minutes = finding.pause.as_secs() / 60;
        if let Some(code) = finding.code {
            log::warn!(
                REASON_CODE = code;
                "subscription to {topic} refused: {}; asked again in {minutes} minutes", Reason(code)
            );
            return;
        }
        let remedy = match lost.cause {
            Cause::InboundTooLarge => "raise `max-packet-size`, or clear the retained message",
            Cause::ClosedOverSubscribe => "correct the topic filter, or what the broker allows",
            _ => "correct or clear the retained message",
        };
        log::error!(
            "subscription to {topic} left out for {minutes} minutes, as the connection ends over it: {lost}; publishing and \
             all other subscriptions go on; {remedy}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    #[test]
    fn the_second_in_a_row_has_filters_asked_for_one_at_a_time_and_patience_grows() {
        let mut breaches = Breaches::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            breaches.ended(Breach::Suspected, SHORT, false);
            seen.push(breaches.probation().map(|probation| probation.as_millis()));
        }
        let later = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000].map(Some);
        assert_eq!(seen, [vec![None], later.to_vec()].concat());
        breaches.ended(Breach::Suspected, SHORT, true);
        assert_eq!(breaches.probation(), Some(PROBATION), "what was found needs no more patience");
        breaches.ended_otherwise(SHORT);
        assert_eq!(breaches.probation(), Some(PROBATION), "it is not over yet");
        breaches.ended_otherwise(STABLE);
        assert_eq!(breaches.probation(), None);
        breaches.ended(Breach::Suspected, STABLE, false);
        assert_eq!(breaches.probation(), None, "one in a while is no reason");
    }

    #[test]
    fn a_refusal_of_one_of_several_has_them_asked_for_one_at_a_time_at_once() {
        let mut breaches = Breaches::default();
        breaches.ended(Breach::Refused(149), SHORT, true);
        assert_eq!(breaches.probation(), None, "it is known which");
        breaches.ended(Breach::Refused(149), STABLE, false);
        assert_eq!(breaches.probation(), Some(PROBATION));
    }
}
