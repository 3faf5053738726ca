//! Subscription identifiers: the same for the same filter in every run, so that what a kept session held back is known.
//!
//! An identifier tells, too, how often its filter had been subscribed to, as far as it has room for that. It is enough: a
//! filter is not subscribed to again before the broker has answered, and brokers send what they keep when they are asked,
//! so that a message would have to be overtaken by a thousand answers to be taken for that of a later subscription.

/// How many of the lower bits count how often a filter was subscribed to.
const GENERATION_BITS: u32 = 10;
const GENERATIONS: u32 = 1 << GENERATION_BITS;
/// The largest slot: an identifier is at most 268,435,455 (MQTT 5, 3.8.2.1.2).
const MAX_SLOT: u32 = (1 << (28 - GENERATION_BITS)) - 1;

/// The identifier of a filter's subscription when it was subscribed to so many times.
pub fn identifier(slot: u32, generation: u32) -> u32 {
    (slot << GENERATION_BITS) | (generation % GENERATIONS)
}

/// The slot of a filter, and how often that was subscribed to, not more often than so many times.
pub fn parse(identifier: u32, generation: impl Fn(u32) -> Option<u32>) -> Option<(u32, u32)> {
    let slot = identifier >> GENERATION_BITS;
    let latest = generation(slot)?;
    let age = latest.wrapping_sub(identifier) % GENERATIONS;
    Some((slot, latest.saturating_sub(age)))
}

/// A slot that no other filter has: by the hash FNV-1a, and the next one where that is taken.
pub fn free_slot(filter: &str, is_taken: impl Fn(u32) -> bool) -> u32 {
    let hash = filter.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut slot = (hash ^ (hash >> (28 - GENERATION_BITS))) & MAX_SLOT;
    // 0 is no identifier
    while slot == 0 || is_taken(slot) {
        slot = (slot + 1) & MAX_SLOT;
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_tells_the_filter_and_the_generation() {
        for (latest, generation) in [(0, 0), (1, 1), (1, 0), (1024, 1024), (1024, 1), (3000, 1977)] {
            for slot in [1, 77, MAX_SLOT] {
                let found = parse(identifier(slot, generation), |found| (found == slot).then_some(latest));
                assert_eq!(found, Some((slot, generation)), "{latest} {generation}");
            }
        }
        assert_eq!(parse(identifier(7, 1), |_| None), None);
        assert_eq!(identifier(MAX_SLOT, 1023), 268_435_455);
    }

    #[test]
    fn a_generation_of_an_earlier_run_is_an_early_one() {
        assert_eq!(parse(identifier(7, 9), |_| Some(2)), Some((7, 0)));
    }

    #[test]
    fn a_filter_has_the_same_slot_unless_that_is_taken() {
        let slot = free_slot("a/#", |_| false);
        assert_eq!(free_slot("a/#", |_| false), slot);
        assert_ne!(free_slot("b/#", |_| false), slot);
        assert_eq!(free_slot("a/#", |other| other == slot), slot + 1);
    }
}
