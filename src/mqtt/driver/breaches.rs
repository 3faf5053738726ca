//! What is done about connections that end over a topic filter: publishing and all other topic filters go on.

use std::time::Duration;

use super::Driver;
use super::established::breach;
use super::takeover::STABLE;
use crate::mqtt::client::Lost;
use crate::mqtt::session::subscriptions::{Breach, Culprit};

/// After so many connections in a row that end over a packet that cannot be decoded or over our SUBSCRIBE, the next one
/// publishes first, and asks for one topic filter at a time.
const MAX_IN_A_ROW: u32 = 2;
/// How long each filter is then on probation. It doubles with each connection that shows nothing, up to 8 s: a retained
/// message may be long, and the link slow.
const PROBATION: Duration = Duration::from_millis(250);
const MAX_DOUBLINGS: u32 = 5;

/// The connections that ended so.
#[derive(Default)]
pub struct Breaches {
    /// Without a stable connection in between.
    in_a_row: u32,
}

impl Breaches {
    /// How long each filter is on probation on the next connection, if it is.
    pub fn probation(&self) -> Option<Duration> {
        let doublings = self.in_a_row.checked_sub(MAX_IN_A_ROW)?.min(MAX_DOUBLINGS);
        Some(PROBATION * 2u32.pow(doublings))
    }

    /// A connection ended so, and showed this. Where a session was resumed, its messages may be the cause even if a
    /// filter was found.
    fn ended(&mut self, breach: Breach, culprit: &Culprit, session_present: bool) {
        let is_found = matches!(culprit, Culprit::Filter(_));
        self.in_a_row += u32::from(!is_found || session_present);
        // one of several was refused for certain: asking for them together again shows nothing
        if matches!(breach, Breach::Refused(_)) && !is_found {
            self.in_a_row = self.in_a_row.max(MAX_IN_A_ROW);
        }
    }

    /// A connection ended after so long, for whatever reason.
    fn lasted(&mut self, lasted: Duration) {
        if lasted >= STABLE {
            self.in_a_row = 0;
        }
    }
}

impl Driver {
    /// What the end of a connection shows about topic filters.
    pub(super) fn find_culprit(&mut self, lost: &Lost, lasted: Duration, session_present: bool) -> Culprit {
        self.breaches.lasted(lasted);
        let Some(breach) = breach(lost) else { return Culprit::Unknown };
        let culprit = self.subscriber.breached(breach);
        if culprit == Culprit::Session && self.inbox.is_none() {
            Self::log_session_left(lost);
            self.session_spoilt = true;
        }
        self.breaches.ended(breach, &culprit, session_present);
        culprit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::session::subscriptions::Finding;

    const SHORT: Duration = Duration::from_secs(1);

    fn found() -> Culprit {
        let filter = crate::message::TopicFilter::try_from("a".to_owned()).unwrap();
        Culprit::Filter(Finding { filter, pause: SHORT, code: None })
    }

    #[test]
    fn after_the_second_in_a_row_filters_are_on_probation_for_longer_each_time() {
        let mut breaches = Breaches::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            breaches.lasted(SHORT);
            breaches.ended(Breach::Suspected, &Culprit::Unknown, false);
            seen.push(breaches.probation().map(|probation| probation.as_millis()));
        }
        let later = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000].map(Some);
        assert_eq!(seen, [vec![None], later.to_vec()].concat());
        breaches.lasted(STABLE);
        assert_eq!(breaches.probation(), None);
        breaches.ended(Breach::Suspected, &Culprit::Unknown, false);
        assert_eq!(breaches.probation(), None, "a single one after a stable connection");
    }

    #[test]
    fn a_found_filter_does_not_prolong_the_probation_unless_a_session_was_resumed() {
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
    fn after_a_refusal_of_one_of_several_filters_the_next_connection_asks_for_one_at_a_time() {
        let mut breaches = Breaches::default();
        breaches.ended(Breach::Refused(149), &found(), false);
        assert_eq!(breaches.probation(), None, "it is known which");
        breaches.ended(Breach::Refused(149), &Culprit::Unknown, false);
        assert_eq!(breaches.probation(), Some(PROBATION));
    }
}
