//! The sizes of messages that the broker refused without having announced a limit. Each such refusal ends the
//! connection.

use std::time::{Duration, Instant};

use crate::mqtt::outcome::Failure;
use crate::mqtt::reason::PACKET_TOO_LARGE;

/// How long a refusal is remembered: the broker's configuration may change.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How many refusals are remembered of which none implies another.
const MAX_KEPT: usize = 8;

/// The two sizes of a message that a broker may limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The whole PUBLISH packet.
    pub packet: usize,
    pub payload: usize,
}

#[derive(Default)]
pub struct TooLarge {
    /// The oldest first.
    kept: Vec<(Size, Instant)>,
}

impl Size {
    /// Whether a broker that accepts the other size accepts this one.
    fn is_within(self, other: Self) -> bool {
        self.packet <= other.packet && self.payload <= other.payload
    }
}

impl TooLarge {
    /// Remembers that a message of this size was refused, and logs it.
    pub fn learn(&mut self, size: Size, now: Instant) {
        self.kept.retain(|(refused, since)| !size.is_within(*refused) && now < *since + KEPT_FOR);
        if self.kept.len() == MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push((size, now));
        log::warn!(
            REASON_CODE = PACKET_TOO_LARGE;
            "the broker refuses an MQTT packet of {} bytes, and ends the connection over it: for {} minutes such messages \
             are refused without being sent",
            size.packet, KEPT_FOR.as_secs() / 60
        );
    }

    /// Why a message of this size is not sent, if one that was no larger was refused.
    pub fn refuses(&self, size: Size, now: Instant) -> Option<Failure> {
        let refused = self.kept.iter().find(|(refused, since)| refused.is_within(size) && now < *since + KEPT_FOR);
        refused.map(|(refused, _)| Failure::TooLargeForBroker { size: size.packet, refused: refused.packet })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(packet: usize, payload: usize) -> Size {
        Size { packet, payload }
    }

    #[test]
    fn a_message_that_is_no_smaller_in_both_sizes_is_refused_for_an_hour() {
        let now = Instant::now();
        let mut sizes = TooLarge::default();
        assert_eq!(sizes.refuses(size(500, 500), now), None);
        sizes.learn(size(220, 200), now);
        for (tried, refused) in [((220, 200), true), ((300, 200), true), ((300, 199), false), ((219, 200), false)] {
            assert_eq!(sizes.refuses(size(tried.0, tried.1), now).is_some(), refused, "{tried:?}");
        }
        assert_eq!(sizes.refuses(size(220, 200), now + KEPT_FOR), None);
    }

    #[test]
    fn a_smaller_refusal_replaces_a_larger_one() {
        let now = Instant::now();
        let mut sizes = TooLarge::default();
        for packet in (1..1000).rev() {
            sizes.learn(size(packet + 10, packet), now);
        }
        let failure = Failure::TooLargeForBroker { size: 12, refused: 11 };
        assert_eq!((sizes.kept.len(), sizes.refuses(size(12, 1), now)), (1, Some(failure)));
    }

    #[test]
    fn the_number_of_refusals_is_limited() {
        let now = Instant::now();
        let mut sizes = TooLarge::default();
        // none of these implies another
        for step in 0..100 {
            sizes.learn(size(1000 + step, 1000 - step), now);
        }
        let failure = Failure::TooLargeForBroker { size: 1099, refused: 1099 };
        assert_eq!((sizes.kept.len(), sizes.refuses(size(1099, 901), now)), (MAX_KEPT, Some(failure)));
    }
}
