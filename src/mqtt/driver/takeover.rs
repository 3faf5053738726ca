//! Whether another client uses our client identifier: each time one connects, the broker ends the other's connection.

use std::time::Duration;

use crate::mqtt::client::Cause;

/// A connection that lasted so long is stable: the next pause is the shortest one again. A shorter connection may have
/// ended over what we sent, and must not be made again at full speed.
pub const STABLE: Duration = Duration::from_secs(10);
/// After so many connections in a row that were closed without a reason before they were stable, a takeover is likely.
pub const MAX_CLOSES: u32 = 3;

/// What is known of another client with our client identifier.
pub struct Takeover {
    /// The longest that a connection lasts while the other client, a bridge too, connects again after its pauses.
    calm: Duration,
    closes: u32,
    is_known: bool,
}

/// What the end of a connection shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lasted long enough.
    Stable,
    /// It did not.
    Short,
    /// It did not, and a takeover is likely, which was not known before.
    Takeover,
}

impl Takeover {
    /// For pauses between connections up to `longest`.
    pub fn new(longest: Duration) -> Self {
        Self { calm: STABLE.max(2 * longest), closes: 0, is_known: false }
    }

    /// A connection ended for this cause after so long.
    pub fn ended(&mut self, cause: Cause, lasted: Duration) -> Verdict {
        if lasted >= self.calm {
            (self.closes, self.is_known) = (0, false);
        }
        let is_stable = lasted >= if self.is_known { self.calm } else { STABLE };
        match cause {
            Cause::TakenOver => self.is_known = true,
            Cause::Closed if !is_stable => self.closes += 1,
            _ => self.closes = 0,
        }
        if is_stable {
            return Verdict::Stable;
        }
        let is_found = self.closes >= MAX_CLOSES && !self.is_known;
        self.is_known |= is_found;
        if is_found { Verdict::Takeover } else { Verdict::Short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    fn verdicts(takeover: &mut Takeover, ends: &[(Cause, u64)]) -> Vec<Verdict> {
        ends.iter().map(|(cause, seconds)| takeover.ended(*cause, Duration::from_secs(*seconds))).collect()
    }

    #[test]
    fn three_short_connections_in_a_row_that_are_closed_without_a_reason_are_one_finding() {
        use Verdict::{Short, Stable, Takeover as Found};
        let mut takeover = Takeover::new(LONGEST);
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
        assert_eq!(verdicts(&mut takeover, &ends), expected);
    }

    #[test]
    fn after_a_takeover_no_connection_is_stable_that_lasted_only_as_long_as_the_other_clients_pause() {
        use Verdict::{Short, Stable};
        let mut takeover = Takeover::new(LONGEST);
        let ends = [(Cause::TakenOver, 3600), (Cause::TakenOver, 30), (Cause::Closed, 30), (Cause::Other, 61)];
        assert_eq!(verdicts(&mut takeover, &ends), [Stable, Short, Short, Stable]);
        assert_eq!(verdicts(&mut takeover, &[(Cause::Other, 10)]), [Stable]);
    }

    #[test]
    fn with_short_pauses_a_connection_need_not_last_longer_to_be_stable() {
        let mut takeover = Takeover::new(Duration::from_millis(100));
        assert_eq!(
            verdicts(&mut takeover, &[(Cause::TakenOver, 1), (Cause::TakenOver, 10)]),
            [Verdict::Short, Verdict::Stable]
        );
    }
}
