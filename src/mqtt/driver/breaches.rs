//! What is done about connections that end over a topic filter: publishing goes on, and all others do.

use std::time::Duration;

use super::Driver;
use super::rival::STABLE;
use crate::mqtt::client::connection::{Cause, Lost};
use crate::mqtt::reason::Reason;
use crate::mqtt::session::subscriptions::{Breach, Culprit, Finding};
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

    /// A connection ended so, and this is what that showed. Where a session was resumed, and may be to blame after all,
    /// patience grows though a filter was found.
    fn ended(&mut self, breach: Breach, culprit: &Culprit, session_present: bool) {
        let is_found = matches!(culprit, Culprit::Filter(_));
        self.in_a_row += u32::from(!is_found || session_present);
        // it is known that one of several was refused: no use in asking for them together again
        if matches!(breach, Breach::Refused(_)) && !is_found {
            self.in_a_row = self.in_a_row.max(MAX_IN_A_ROW);
        }
    }

    /// A connection ended after it had held so long, for whatever reason.
    fn held(&mut self, held: Duration) {
        if held >= STABLE {
            self.in_a_row = 0;
        }
    }
}

impl Driver {
    /// A connection ended, and perhaps over a topic filter. Says what that shows.
    pub(super) fn look_for_a_filter(&mut self, lost: &Lost, held: Duration, session_present: bool) -> Culprit {
        self.breaches.held(held);
        let Some(breach) = lost.breach() else { return Culprit::Unknown };
        let culprit = self.subscriber.breached(breach);
        if culprit == Culprit::Session {
            log::error!("the session that the broker keeps is left, with what it still holds for us: {lost}");
            self.session_spoilt = true;
        }
        self.breaches.ended(breach, &culprit, session_present);
        culprit
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

    fn found() -> Culprit {
        let filter = crate::message::TopicFilter::try_from("a".to_owned()).unwrap();
        Culprit::Filter(Finding { filter, pause: SHORT, code: None })
    }

    #[test]
    fn the_second_in_a_row_has_filters_asked_for_one_at_a_time_and_patience_grows() {
        let mut breaches = Breaches::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            breaches.held(SHORT);
            breaches.ended(Breach::Suspected, &Culprit::Unknown, false);
            seen.push(breaches.probation().map(|probation| probation.as_millis()));
        }
        let later = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000].map(Some);
        assert_eq!(seen, [vec![None], later.to_vec()].concat());
        breaches.held(STABLE);
        assert_eq!(breaches.probation(), None);
        breaches.ended(Breach::Suspected, &Culprit::Unknown, false);
        assert_eq!(breaches.probation(), None, "one in a while is no reason");
    }

    #[test]
    fn what_was_found_needs_no_more_patience_unless_a_session_may_be_to_blame() {
        let mut breaches = Breaches::default();
        for _ in 0..2 {
            breaches.ended(Breach::Suspected, &Culprit::Unknown, false);
        }
        breaches.ended(Breach::Suspected, &found(), false);
        assert_eq!(breaches.probation(), Some(PROBATION));
        breaches.ended(Breach::Suspected, &found(), true);
        assert_eq!(breaches.probation(), Some(2 * PROBATION));
    }

    #[test]
    fn a_refusal_of_one_of_several_has_them_asked_for_one_at_a_time_at_once() {
        let mut breaches = Breaches::default();
        breaches.ended(Breach::Refused(149), &found(), false);
        assert_eq!(breaches.probation(), None, "it is known which");
        breaches.ended(Breach::Refused(149), &Culprit::Unknown, false);
        assert_eq!(breaches.probation(), Some(PROBATION));
    }
}
