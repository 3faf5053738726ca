//! Which filters match a topic name, and which are wider or narrower than another, without looking at each of them.
//!
//! A filter is known by its levels: at each place there is a set of those that have a certain word, a `+`, a `#` or
//! nothing there, and what takes a topic name is in one of the right sets at every place.

use std::collections::HashMap;

use super::Key;
use super::keys::Keys;
use crate::message::TopicFilter;

/// The filters by their levels.
#[derive(Default)]
pub struct Overlaps {
    all: Keys,
    /// Those whose first level starts with `$`: a wildcard takes nothing of that (MQTT 5, 4.7.2-1).
    of_the_broker: Keys,
    places: Vec<Place>,
}

/// What the filters have at one place.
#[derive(Default)]
struct Place {
    words: HashMap<String, Keys>,
    /// Those with a `+`.
    one_level: Keys,
    /// Those with a `#`.
    all_levels: Keys,
    /// Those with a word or a `+`.
    level: Keys,
    /// Those that have ended.
    end: Keys,
}

impl Overlaps {
    pub fn insert(&mut self, filter: &TopicFilter, key: Key) {
        self.mark(filter, key, true);
    }

    pub fn remove(&mut self, filter: &TopicFilter, key: Key) {
        self.mark(filter, key, false);
    }

    /// The lowest key that no filter has.
    pub fn free_key(&self) -> Key {
        self.all.first_free()
    }

    pub fn all(&self) -> &Keys {
        &self.all
    }

    /// Those that match a topic name; shared ones are judged by their inner filters, here and below.
    pub fn matching(&self, topic: &str) -> Keys {
        self.taking(topic.split('/'))
    }

    /// Those that cover a filter, itself included.
    pub fn wider(&self, filter: &TopicFilter) -> Keys {
        self.taking(filter.levels())
    }

    /// Those that a filter covers, itself included.
    pub fn narrower(&self, filter: &TopicFilter) -> Keys {
        let mut left = self.all.clone();
        let mut places = self.places.iter();
        for (number, level) in filter.levels().enumerate() {
            let Some(place) = places.next() else { return Keys::default() };
            left = match level {
                "#" => return left,
                "+" if number == 0 => (left & &place.level) - &self.of_the_broker,
                "+" => left & &place.level,
                word => place.words.get(word).map_or_else(Keys::default, |keys| left & keys),
            };
        }
        places.next().map_or_else(Keys::default, |place| left & &place.end)
    }

    /// Those that take all that these levels stand for: those of a topic name, or those of a topic filter.
    fn taking<'a>(&self, mut levels: impl Iterator<Item = &'a str>) -> Keys {
        let mut left = self.all.clone();
        let mut found = Keys::default();
        for (number, place) in self.places.iter().enumerate() {
            // the level above included
            found.add_common(&left, &place.all_levels);
            match levels.next() {
                None => return found | &(left & &place.end),
                Some("#") => return found,
                Some(level) => {
                    let is_the_brokers = number == 0 && level.starts_with('$');
                    left.keep_either(place.words.get(level), (!is_the_brokers).then_some(&place.one_level));
                }
            }
            if left.is_empty() {
                return found;
            }
        }
        found
    }

    fn mark(&mut self, filter: &TopicFilter, key: Key, is_in: bool) {
        self.all.set(key, is_in);
        let is_the_brokers = filter.levels().next().is_some_and(|level| level.starts_with('$'));
        self.of_the_broker.set(key, is_in && is_the_brokers);
        for (number, level) in filter.levels().enumerate() {
            let place = self.place(number);
            match level {
                "#" => return place.all_levels.set(key, is_in),
                "+" => place.one_level.set(key, is_in),
                word => {
                    let keys = place.words.entry(word.to_owned()).or_default();
                    keys.set(key, is_in);
                    if keys.is_empty() {
                        place.words.remove(word);
                    }
                }
            }
            place.level.set(key, is_in);
        }
        self.place(filter.levels().count()).end.set(key, is_in);
    }

    fn place(&mut self, number: usize) -> &mut Place {
        if self.places.len() <= number {
            self.places.resize_with(number + 1, Place::default);
        }
        &mut self.places[number]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter() -> impl Strategy<Value = TopicFilter> {
        let text = prop::string::string_regex(r"((\$share/g/)?((\$?[ab]?|\+)/){0,3}(\$?[ab]?|\+|#))").unwrap();
        text.prop_filter_map("no topic filter", |text| TopicFilter::try_from(text).ok())
    }

    fn list(keys: &Keys) -> Vec<Key> {
        keys.iter().collect()
    }

    proptest! {
        #[test]
        fn they_find_what_looking_at_each_would_find(
            filters in prop::collection::vec(filter(), 1..100),
            gone in prop::collection::vec(any::<bool>(), 100),
            topic in r"((\$?[ab]?)/){0,3}(\$?[ab]?)",
        ) {
            let mut overlaps = Overlaps::default();
            for filter in &filters {
                overlaps.insert(filter, overlaps.free_key());
            }
            let mut there: Vec<(Key, &TopicFilter)> = filters.iter().enumerate().collect();
            there.retain(|(key, filter)| {
                if gone[*key] {
                    overlaps.remove(filter, *key);
                }
                !gone[*key]
            });
            let expect = |is_found: &dyn Fn(&TopicFilter) -> bool| {
                there.iter().filter(|(_, filter)| is_found(filter)).map(|(key, _)| *key).collect::<Vec<_>>()
            };
            let matching = expect(&|filter| filter.matches_name(&topic));
            prop_assert_eq!(list(&overlaps.matching(&topic)), matching, "{}", topic);
            for one in &filters {
                prop_assert_eq!(list(&overlaps.wider(one)), expect(&|filter| filter.covers(one)), "{:?}", one);
                prop_assert_eq!(list(&overlaps.narrower(one)), expect(&|filter| one.covers(filter)), "{:?}", one);
            }
            for (key, filter) in there {
                overlaps.remove(filter, key);
            }
            prop_assert!(overlaps.places.iter().all(|place| place.words.is_empty()));
        }
    }
}
