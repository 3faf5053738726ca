//! Subscription identifiers: the same for the same filter in every run, so that messages of a kept session are
//! recognized.
//!
//! The lower bits count how often the filter had been subscribed to, modulo 1024. That is enough: a filter is not
//! subscribed to again before the broker has answered, and brokers send retained messages with their answer, so that a
//! message would have to be overtaken by a thousand answers to be taken for one of a later subscription.

/// How many of the lower bits are the generation: how often the filter had been subscribed to.
const GENERATION_BITS: u32 = 10;
const GENERATIONS: u32 = 1 << GENERATION_BITS;
/// The largest slot: an identifier is at most 268,435,455 (MQTT 5, 3.8.2.1.2).
const MAX_SLOT: u32 = (1 << (28 - GENERATION_BITS)) - 1;

/// The identifier of a filter's subscription of this generation.
pub fn identifier(slot: u32, generation: u32) -> u32 {
    (slot << GENERATION_BITS) | (generation % GENERATIONS)
}

/// The slot of the filter.
pub fn slot(identifier: u32) -> u32 {
    identifier >> GENERATION_BITS
}

/// The generation, which is not later than the latest one of the filter.
pub fn generation(identifier: u32, latest: u32) -> u32 {
    let age = latest.wrapping_sub(identifier) % GENERATIONS;
    latest.saturating_sub(age)
}

/// A free slot: the FNV-1a hash of the filter, or the next free one after that.
pub fn free_slot(filter: &str, is_taken: impl Fn(u32) -> bool) -> u32 {
    let hash = filter.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut slot = (hash ^ (hash >> (28 - GENERATION_BITS))) & MAX_SLOT;
    // 0 is not a subscription identifier (MQTT 5, 3.8.2.1.2)
    while slot == 0 || is_taken(slot) {
        slot = (slot + 1) & MAX_SLOT;
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_contains_the_slot_and_the_generation() {
        for (latest, of_filter) in [(0, 0), (1, 1), (1, 0), (1024, 1024), (1024, 1), (3000, 1977)] {
            for of_slot in [1, 77, MAX_SLOT] {
                let identifier = identifier(of_slot, of_filter);
                let found = (slot(identifier), generation(identifier, latest));
                assert_eq!(found, (of_slot, of_filter), "{latest} {of_filter}");
            }
        }
        assert_eq!(identifier(MAX_SLOT, 1023), 268_435_455);
    }

    #[test]
    fn a_generation_of_an_earlier_run_counts_as_the_first() {
        assert_eq!(generation(identifier(7, 9), 2), 0);
    }

    #[test]
    fn a_filter_gets_the_same_slot_unless_it_is_taken() {
        let slot = free_slot("a/#", |_| false);
        assert_eq!(free_slot("a/#", |_| false), slot);
        assert_ne!(free_slot("b/#", |_| false), slot);
        assert_eq!(free_slot("a/#", |other| other == slot), slot + 1);
    }
}
