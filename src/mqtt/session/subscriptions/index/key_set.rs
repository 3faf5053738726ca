//! Sets of keys, one bit for each: a question about all entries takes one step for 64 of them.

/// Identifies an entry of the table. Those of the configuration are the lowest.
pub type Key = usize;

/// How many keys one element holds.
const BITS: usize = u64::BITS as usize;

/// A set of keys, which are small numbers.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<u64>);

impl KeySet {
    /// Adds a key, or removes it.
    pub fn set(&mut self, key: Key, is_in: bool) {
        let (element, bit) = (key / BITS, 1 << (key % BITS));
        if is_in {
            self.0.resize(self.0.len().max(element + 1), 0);
            self.0[element] |= bit;
        } else if let Some(bits) = self.0.get_mut(element) {
            *bits &= !bit;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        std::iter::successors(self.first_from(0), |key| self.first_from(key + 1))
    }

    /// The lowest that is not below `from`.
    pub fn first_from(&self, from: Key) -> Option<Key> {
        let of_first = u64::MAX << (from % BITS);
        let elements = self.0.iter().enumerate().skip(from / BITS);
        elements
            .map(|(element, bits)| (element, if element == from / BITS { bits & of_first } else { *bits }))
            .find_map(lowest)
    }

    /// The lowest that is in the other set too.
    pub fn first_in(&self, other: &Self) -> Option<Key> {
        let common = self.0.iter().zip(&other.0).map(|(one, other)| one & other);
        common.enumerate().find_map(lowest)
    }

    /// What is in both.
    pub fn and(mut self, other: &Self) -> Self {
        self.0.truncate(other.0.len());
        self.0.iter_mut().zip(&other.0).for_each(|(bits, other)| *bits &= other);
        self
    }

    /// What is in either.
    pub fn or(mut self, other: &Self) -> Self {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(bits, other)| *bits |= other);
        self
    }

    /// What is not in the other.
    pub fn without(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(bits, other)| *bits &= !other);
        self
    }

    /// Adds what is in both of two others.
    pub fn add_common(&mut self, one: &Self, other: &Self) {
        let common = one.0.iter().zip(&other.0);
        self.0.resize(self.0.len().max(common.len()), 0);
        self.0.iter_mut().zip(common).for_each(|(bits, (one, other))| *bits |= one & other);
    }

    /// Keeps only what is in either of two others; an absent one is empty.
    pub fn keep_either(&mut self, one: Option<&Self>, other: Option<&Self>) {
        let [one, other] = [one, other].map(|keys| keys.map_or(&[][..], |keys| &keys.0));
        let element = |of: &[u64], number| of.get(number).copied().unwrap_or(0);
        for (number, bits) in self.0.iter_mut().enumerate() {
            *bits &= element(one, number) | element(other, number);
        }
    }

    /// The lowest key that is not in it.
    pub fn first_free(&self) -> Key {
        let element = self.0.iter().position(|bits| *bits != u64::MAX).unwrap_or(self.0.len());
        element * BITS + self.0.get(element).map_or(0, |bits| bits.trailing_ones() as usize)
    }
}

/// The lowest key in an element.
fn lowest((element, bits): (usize, u64)) -> Option<Key> {
    (bits != 0).then(|| element * BITS + bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::proptests;

    fn keys(of: &BTreeSet<Key>) -> KeySet {
        let mut keys = KeySet::default();
        // in reverse, and one that is removed again
        of.iter().rev().for_each(|key| keys.set(*key, true));
        keys.set(1000, true);
        keys.set(1000, false);
        keys
    }

    proptest! {
        #![proptest_config(proptests::config())]

        #[test]
        fn they_behave_as_btree_sets(
            one in prop::collection::btree_set(0..200_usize, 0..150),
            other in prop::collection::btree_set(0..200_usize, 0..150),
        ) {
            let (first, second) = (keys(&one), keys(&other));
            let list = |keys: &KeySet| keys.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(list(&first), one.clone());
            prop_assert_eq!((first.len(), first.is_empty()), (one.len(), one.is_empty()));
            prop_assert_eq!(first.first_in(&second), one.intersection(&other).next().copied());
            prop_assert!((0..202).all(|from| first.first_from(from) == one.range(from..).next().copied()));
            prop_assert_eq!(Some(first.first_free()), (0..200).find(|key| !one.contains(key)));
            let (mut either, mut common) = (keys(&(0..200).collect()), KeySet::default());
            either.keep_either(Some(&first), Some(&second));
            common.add_common(&first, &second);
            prop_assert_eq!((list(&either), list(&common)), (&one | &other, &one & &other));
            prop_assert_eq!(list(&(first.clone().and(&second))), &one & &other);
            prop_assert_eq!(list(&(first.clone().or(&second))), &one | &other);
            prop_assert_eq!(list(&(first.without(&second))), &one - &other);
        }
    }
}
