//! Whether another client goes by our name: the broker then ends the connection of one whenever the other one connects.

use std::time::Duration;

use crate::mqtt::client::connection::Cause;

/// A connection that held this long is stable: the next pause is the shortest again. A shorter one may have been ended by
/// what we sent, and must not be renewed at full speed.
pub const STABLE: Duration = Duration::from_secs(10);
/// So many connections in a row that are closed without a word before they are stable are another client's doing, as far
/// as one can tell.
pub const MAX_CLOSES: u32 = 3;

/// What was seen of another client.
pub struct Rival {
    /// No connection can last longer while another client like us comes back after its own longest pause.
    calm: Duration,
    closes: u32,
    is_there: bool,
}

/// What is to be thought of a connection that ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lasted long enough.
    Stable,
    /// It did not.
    Short,
    /// It did not, and another client is likely, which was not known before.
    Rival,
}

impl Rival {
    /// For pauses between connections up to `longest`.
    pub fn new(longest: Duration) -> Self {
        Self { calm: STABLE.max(2 * longest), closes: 0, is_there: false }
    }

    /// A connection ended for this cause after so long.
    pub fn ended(&mut self, cause: Cause, held: Duration) -> Verdict {
        if held >= self.calm {
            (self.closes, self.is_there) = (0, false);
        }
        let is_stable = held >= if self.is_there { self.calm } else { STABLE };
        match cause {
            Cause::TakenOver => self.is_there = true,
            Cause::Closed if !is_stable => self.closes += 1,
            _ => self.closes = 0,
        }
        if is_stable {
            return Verdict::Stable;
        }
        let is_found = self.closes >= MAX_CLOSES && !self.is_there;
        self.is_there |= is_found;
        if is_found { Verdict::Rival } else { Verdict::Short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    fn verdicts(rival: &mut Rival, ends: &[(Cause, u64)]) -> Vec<Verdict> {
        ends.iter().map(|(cause, seconds)| rival.ended(*cause, Duration::from_secs(*seconds))).collect()
    }

    #[test]
    fn three_short_connections_in_a_row_that_are_closed_without_a_word_are_told_of_once() {
        use Verdict::{Rival as Found, Short, Stable};
        let mut rival = Rival::new(LONGEST);
        let ends = [
            (Cause::Closed, 1),
            (Cause::Closed, 2),
            (Cause::Other, 1),
            (Cause::Closed, 1),
            (Cause::Closed, 9),
            (Cause::Closed, 1),
            (Cause::Closed, 1),
            (Cause::Closed, 1),
            (Cause::Closed, 30),
            (Cause::Closed, 59),
            (Cause::Closed, 60),
            (Cause::Closed, 1),
            (Cause::Closed, 1),
            (Cause::Closed, 1),
        ];
        let expected =
            [Short, Short, Short, Short, Short, Found, Short, Short, Short, Short, Stable, Short, Short, Found];
        assert_eq!(verdicts(&mut rival, &ends), expected);
    }

    #[test]
    fn a_rival_that_the_broker_names_lets_no_connection_be_stable_that_its_own_pause_made_so() {
        use Verdict::{Short, Stable};
        let mut rival = Rival::new(LONGEST);
        let ends = [(Cause::TakenOver, 3600), (Cause::TakenOver, 30), (Cause::Closed, 30), (Cause::Other, 61)];
        assert_eq!(verdicts(&mut rival, &ends), [Stable, Short, Short, Stable]);
        assert_eq!(verdicts(&mut rival, &[(Cause::Other, 10)]), [Stable]);
    }

    #[test]
    fn short_pauses_need_no_longer_connections() {
        let mut rival = Rival::new(Duration::from_millis(100));
        assert_eq!(
            verdicts(&mut rival, &[(Cause::TakenOver, 1), (Cause::TakenOver, 10)]),
            [Verdict::Short, Verdict::Stable]
        );
    }
}
