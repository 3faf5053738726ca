//! The sizes of messages that the broker refused without having announced a limit. Each such refusal ends the
//! connection.

use std::time::{Duration, Instant};

/// How long a refusal is remembered: the broker's configuration may change.
pub const KEPT_FOR: Duration = Duration::from_secs(3600);
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
    /// Remembers that a message of this size was refused.
    pub fn learn(&mut self, size: Size, now: Instant) {
        self.kept.retain(|(refused, since)| !size.is_within(*refused) && now < *since + KEPT_FOR);
        if self.kept.len() == MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push((size, now));
    }

    /// The bytes of a packet that was refused, if this one is no smaller.
    pub fn refuses(&self, size: Size, now: Instant) -> Option<usize> {
        let refused = self.kept.iter().find(|(refused, since)| refused.is_within(size) && now < *since + KEPT_FOR);
        refused.map(|(refused, _)| refused.packet)
    }

    /// Whether there was no refusal yet.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
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
        assert_eq!((sizes.kept.len(), sizes.refuses(size(11, 1), now)), (1, Some(11)));
    }

    #[test]
    fn the_number_of_refusals_is_limited() {
        let now = Instant::now();
        let mut sizes = TooLarge::default();
        // none of these implies another
        for step in 0..100 {
            sizes.learn(size(1000 + step, 1000 - step), now);
        }
        assert_eq!((sizes.kept.len(), sizes.refuses(size(1099, 901), now)), (MAX_KEPT, Some(1099)));
    }
}
