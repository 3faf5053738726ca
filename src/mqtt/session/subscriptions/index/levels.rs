//! Which topic filters match a topic name, and which are wider or narrower than another, without a look at each of
//! them.
//!
//! For each level there is a set of the filters that have a certain word, a `+`, a `#` or nothing there. The filters
//! that match are in one of the right sets at every level.

use std::collections::HashMap;

use super::key_set::{Key, KeySet};
use crate::message::TopicFilter;

/// The filters by their levels.
#[derive(Default)]
pub struct FilterLevels {
    pub all: KeySet,
    /// Those whose first level starts with `$`: a wildcard takes nothing of that (MQTT 5, 4.7.2-1).
    of_the_broker: KeySet,
    levels: Vec<Level>,
}

/// The filters by what they have at one level.
#[derive(Default)]
struct Level {
    words: HashMap<String, KeySet>,
    /// Those with a `+`.
    plus: KeySet,
    /// Those with a `#`.
    hash: KeySet,
    /// Those with a word or a `+`.
    any: KeySet,
    /// Those that have ended.
    end: KeySet,
}

impl FilterLevels {
    /// Adds a filter, or removes it.
    pub fn set(&mut self, filter: &TopicFilter, key: Key, is_in: bool) {
        self.all.set(key, is_in);
        let is_the_brokers = filter.levels().next().is_some_and(|level| level.starts_with('$'));
        self.of_the_broker.set(key, is_in && is_the_brokers);
        for (number, word) in filter.levels().enumerate() {
            let level = self.level(number);
            match word {
                "#" => return level.hash.set(key, is_in),
                "+" => level.plus.set(key, is_in),
                word => {
                    let keys = level.words.entry(word.to_owned()).or_default();
                    keys.set(key, is_in);
                    if keys.is_empty() {
                        level.words.remove(word);
                    }
                }
            }
            level.any.set(key, is_in);
        }
        self.level(filter.levels().count()).end.set(key, is_in);
    }

    /// Those that match a topic name. Shared ones are compared by their inner filters, here and below.
    pub fn matching(&self, topic: &str) -> KeySet {
        self.covering(topic.split('/'))
    }

    /// Those that cover a filter, itself included.
    pub fn wider(&self, filter: &TopicFilter) -> KeySet {
        self.covering(filter.levels())
    }

    /// Those that a filter covers, itself included.
    pub fn narrower(&self, filter: &TopicFilter) -> KeySet {
        let mut left = self.all.clone();
        let mut levels = self.levels.iter();
        for (number, word) in filter.levels().enumerate() {
            let Some(level) = levels.next() else { return KeySet::default() };
            left = match word {
                "#" => return left,
                "+" if number == 0 => left.and(&level.any).without(&self.of_the_broker),
                "+" => left.and(&level.any),
                word => level.words.get(word).map_or_else(KeySet::default, |keys| left.and(keys)),
            };
        }
        levels.next().map_or_else(KeySet::default, |level| left.and(&level.end))
    }

    /// Those that match everything that these levels match: the levels of a topic name, or of a topic filter.
    fn covering<'a>(&self, mut words: impl Iterator<Item = &'a str>) -> KeySet {
        let mut left = self.all.clone();
        let mut found = KeySet::default();
        for (number, level) in self.levels.iter().enumerate() {
            // the level above included
            found.add_common(&left, &level.hash);
            match words.next() {
                None => return found.or(&left.and(&level.end)),
                Some("#") => return found,
                Some(word) => {
                    let is_the_brokers = number == 0 && word.starts_with('$');
                    left.keep_either(level.words.get(word), (!is_the_brokers).then_some(&level.plus));
                }
            }
            if left.is_empty() {
                return found;
            }
        }
        found
    }

    fn level(&mut self, number: usize) -> &mut Level {
        if self.levels.len() <= number {
            self.levels.resize_with(number + 1, Level::default);
        }
        &mut self.levels[number]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proptests;

    fn filter() -> impl Strategy<Value = TopicFilter> {
        let text = prop::string::string_regex(r"((\$share/g/)?((\$?[ab]?|\+)/){0,3}(\$?[ab]?|\+|#))").unwrap();
        text.prop_filter_map("no topic filter", |text| TopicFilter::try_from(text).ok())
    }

    fn list(keys: &KeySet) -> Vec<Key> {
        keys.iter().collect()
    }

    proptest! {
        #![proptest_config(proptests::config())]

        #[test]
        fn they_find_what_a_comparison_with_each_filter_finds(
            filters in prop::collection::vec(filter(), 1..100),
            gone in prop::collection::vec(any::<bool>(), 100),
            topic in r"((\$?[ab]?)/){0,3}(\$?[ab]?)",
        ) {
            let mut levels = FilterLevels::default();
            for filter in &filters {
                levels.set(filter, levels.all.first_free(), true);
            }
            let mut there: Vec<(Key, &TopicFilter)> = filters.iter().enumerate().collect();
            there.retain(|(key, filter)| {
                if gone[*key] {
                    levels.set(filter, *key, false);
                }
                !gone[*key]
            });
            let expect = |is_found: &dyn Fn(&TopicFilter) -> bool| {
                there.iter().filter(|(_, filter)| is_found(filter)).map(|(key, _)| *key).collect::<Vec<_>>()
            };
            let matching = expect(&|filter| filter.matches_name(&topic));
            prop_assert_eq!(list(&levels.matching(&topic)), matching, "{}", topic);
            for one in &filters {
                prop_assert_eq!(list(&levels.wider(one)), expect(&|filter| filter.covers(one)), "{:?}", one);
                prop_assert_eq!(list(&levels.narrower(one)), expect(&|filter| one.covers(filter)), "{:?}", one);
            }
            for (key, filter) in there {
                levels.set(filter, key, false);
            }
            prop_assert!(levels.levels.iter().all(|level| level.words.is_empty()));
        }
    }
}
