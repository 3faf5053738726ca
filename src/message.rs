//! What is published and subscribed to, valid by construction: topic name, topic filter, QoS and message.

mod received;

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::memory::allocated;

pub use self::received::{MAX_OVERHEAD, Received, ReceivedProperties};

/// The longest topic name or topic filter, in bytes of UTF-8 (MQTT 5, 4.7.3-3).
pub const MAX_TOPIC_BYTES: usize = 65_535;
/// The most levels of a topic name or topic filter.
///
/// No specification limits them, but brokers do, and end the connection over it: EMQX at 128, mosquitto at 200.
pub const MAX_TOPIC_LEVELS: usize = 128;
/// The most user properties of a message: each takes far more memory than bytes on the wire.
pub const MAX_USER_PROPERTIES: usize = 100;
/// What a message takes while it waits, beside its parts, in bytes: its places in tables, and who waits for it.
const ALONE: usize = 1024;
/// What a shared subscription starts with (MQTT 5, 4.8.2).
const SHARED: &str = "$share/";

/// How urgent the record of a message is, from 0, an emergency, to 7, of use to who looks for a fault (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority(u8);

impl Priority {
    /// Something failed.
    pub const ERROR: Self = Self(3);
    /// Something may fail.
    pub const WARNING: Self = Self(4);
    /// Nothing is wrong.
    pub const INFORMATIONAL: Self = Self(6);
    /// Of use to who looks for a fault.
    pub const DEBUG: Self = Self(7);
}

impl Default for Priority {
    fn default() -> Self {
        Self::INFORMATIONAL
    }
}

impl TryFrom<i64> for Priority {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let number = u8::try_from(number).ok().filter(|number| *number <= 7);
        number.map(Self).ok_or("must be a whole number from 0 (emergency) to 7 (debug)")
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message that may be published on a connection shared with others.
///
/// Whether it fits into the limits of the broker is asked when it is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: TopicName,
    /// What it says: any bytes, none included.
    pub payload: Bytes,
    /// How surely it is delivered.
    pub qos: Qos,
    /// Whether the broker keeps it for subscribers to come.
    pub retain: bool,
    /// What MQTT 5 says about it beside.
    pub properties: Properties,
}

impl Message {
    /// What it takes in memory while it waits, in bytes. Of all but the payload rumqttc has a copy, from when it is sent to
    /// its acknowledgement.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ALONE + allocated(self.payload.len()) + 2 * (allocated(self.topic.0.capacity()) + self.properties.bytes())
    }
}

/// The properties of a PUBLISH that are the publisher's to set (MQTT 5, 3.3.2.3); all of them may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Whether the payload is UTF-8 text.
    pub payload_format_indicator: Option<bool>,
    /// Seconds after which the broker no longer delivers it.
    pub message_expiry_interval: Option<u32>,
    /// Where an answer is expected.
    pub response_topic: Option<TopicName>,
    /// What tells the answer to this message from others.
    pub correlation_data: Option<Bytes>,
    /// What the payload is, usually a media type.
    pub content_type: Option<MqttString>,
    /// Names and values in their order; a name may stand there twice.
    pub user_properties: Vec<(MqttString, MqttString)>,
}

impl Properties {
    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is allocated for them, in bytes.
    fn bytes(&self) -> usize {
        let pair =
            |(name, value): &(MqttString, MqttString)| allocated(name.0.capacity()) + allocated(value.0.capacity());
        allocated(self.response_topic.as_ref().map_or(0, |topic| topic.0.capacity()))
            + allocated(self.correlation_data.as_ref().map_or(0, Bytes::len))
            + allocated(self.content_type.as_ref().map_or(0, |text| text.0.capacity()))
            + allocated(self.user_properties.capacity() * size_of::<(MqttString, MqttString)>())
            + self.user_properties.iter().map(pair).sum::<usize>()
    }
}

/// Text that MQTT can carry: at most 65,535 bytes of UTF-8, without control characters and noncharacters
/// (MQTT 5, 1.5.4), over which brokers end the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttString(String);

impl MqttString {
    /// The text as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MqttString {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        match text.chars().find(|&c| is_forbidden(c)) {
            _ if text.len() > MAX_TOPIC_BYTES => Err(TopicError::TooLong(text.len())),
            Some(character) => Err(TopicError::Forbidden(character)),
            None => Ok(Self(text)),
        }
    }
}

/// Quality of service (MQTT 5, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// 0: sent once, not acknowledged.
    AtMostOnce = 0,
    /// 1: acknowledged, perhaps delivered twice.
    AtLeastOnce = 1,
    /// 2: acknowledged and delivered once.
    ExactlyOnce = 2,
}

impl TryFrom<i64> for Qos {
    type Error = QosError;

    fn try_from(level: i64) -> Result<Self, QosError> {
        match level {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(QosError),
        }
    }
}

impl fmt::Display for Qos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

/// A number that is no quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be 0, 1 or 2")]
pub struct QosError;

/// A topic name that one may publish to: MQTT 5, 4.7, and what brokers enforce beyond its MUSTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName(String);

impl TopicName {
    /// The name as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = TopicError;

    fn try_from(name: String) -> Result<Self, TopicError> {
        check_topic(&name)?;
        match name.chars().find(|c| matches!(c, '+' | '#')) {
            Some(wildcard) => return Err(TopicError::Wildcard(wildcard)),
            None if name.starts_with('$') => return Err(TopicError::Dollar),
            None => {}
        }
        Ok(Self(name))
    }
}

/// A topic filter that one may subscribe to (MQTT 5, 4.7.1 and 4.8.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// The filter as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `$share/GROUP/FILTER`: each message goes to one subscriber of the group (MQTT 5, 4.8.2).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.starts_with(SHARED)
    }

    /// Whether it matches this topic name; a shared one is judged by its inner filter.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.matches_name(&topic.0)
    }

    /// The same for a topic name that a broker sent, which may start with `$`.
    #[must_use]
    pub fn matches_name(&self, topic: &str) -> bool {
        self.takes(topic.split('/'))
    }

    /// Whether it matches every topic name that the other one can match; shared ones are judged by their inner filters.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.takes(other.levels())
    }

    /// Whether it matches all that these levels stand for: those of a topic name, or those of a topic filter.
    fn takes<'a>(&self, levels: impl Iterator<Item = &'a str>) -> bool {
        let mut levels = levels.peekable();
        // MQTT 5, 4.7.2-1: what belongs to the broker is not met by a wildcard
        let is_the_brokers = levels.peek().is_some_and(|first| first.starts_with('$'));
        if is_the_brokers && self.inner().starts_with(['+', '#']) {
            return false;
        }
        for level in self.levels() {
            match (level, levels.next()) {
                // the level above included
                ("#", _) => return true,
                // any number of levels, none included, is more than one level can take
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (level, Some(taken)) if level == taken => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// The levels that are matched, one by one; those of a shared one are of its inner filter. `#` is written as `+/#`,
    /// because no topic name is empty.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        let inner = match self.inner() {
            // no topic name is empty, so that these take at least one level more
            "#" => "+/#",
            "/#" => "/+/#",
            other => other,
        };
        inner.split('/')
    }

    fn inner(&self) -> &str {
        // it was checked when it was made
        inner_filter(&self.0).unwrap_or(&self.0)
    }
}

impl TryFrom<String> for TopicFilter {
    type Error = TopicError;

    fn try_from(filter: String) -> Result<Self, TopicError> {
        check_topic(&filter)?;
        check_wildcards(inner_filter(&filter)?)?;
        Ok(Self(filter))
    }
}

/// The rule that a topic name or topic filter breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TopicError {
    /// MQTT 5, 4.7.3-1.
    #[error("must not be empty")]
    Empty,
    /// MQTT 5, 4.7.3-3.
    #[error("is {0} bytes long, over the {MAX_TOPIC_BYTES} that MQTT allows")]
    TooLong(usize),
    /// See [`MAX_TOPIC_LEVELS`].
    #[error("has {0} levels, over the {MAX_TOPIC_LEVELS} that brokers accept")]
    TooDeep(usize),
    /// MQTT 5, 1.5.4: NUL must not, the others should not be there, and brokers end the connection over them.
    #[error("must not contain the character U+{:04X}", u32::from(*.0))]
    Forbidden(char),
    /// MQTT 5, 4.7.0-1.
    #[error("must not contain the wildcard `{0}`: one publishes to a topic name, not to a topic filter")]
    Wildcard(char),
    /// MQTT 5, 4.7.2: such topics are the broker's own.
    #[error("must not start with `$`: such topics belong to the broker")]
    Dollar,
    /// MQTT 5, 4.7.1-1.
    #[error("`#` must be the last level, and all of it")]
    MultiLevelWildcard,
    /// MQTT 5, 4.7.1-2.
    #[error("`+` must be a whole level")]
    SingleLevelWildcard,
    /// MQTT 5, 4.8.2-1 and 4.8.2-2.
    #[error("a shared subscription must be `$share/GROUP/FILTER`, with neither `+` nor `#` in GROUP")]
    SharedSubscription,
}

/// What topic names and topic filters have in common.
fn check_topic(topic: &str) -> Result<(), TopicError> {
    let levels = topic.split('/').count();
    match topic.chars().find(|&c| is_forbidden(c)) {
        _ if topic.is_empty() => Err(TopicError::Empty),
        _ if topic.len() > MAX_TOPIC_BYTES => Err(TopicError::TooLong(topic.len())),
        _ if levels > MAX_TOPIC_LEVELS => Err(TopicError::TooDeep(levels)),
        Some(character) => Err(TopicError::Forbidden(character)),
        None => Ok(()),
    }
}

/// Control characters and Unicode's noncharacters.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// The part of a shared subscription that is matched; a filter that is not shared is all matched.
fn inner_filter(filter: &str) -> Result<&str, TopicError> {
    let Some(shared) = filter.strip_prefix(SHARED) else {
        return Ok(filter);
    };
    match shared.split_once('/') {
        Some((group, inner)) if !group.is_empty() && !group.contains(['+', '#']) && !inner.is_empty() => Ok(inner),
        _ => Err(TopicError::SharedSubscription),
    }
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let levels_after_first = filter.split('/').count() - 1;
    for (position, level) in filter.split('/').enumerate() {
        if level.contains('#') && (level != "#" || position != levels_after_first) {
            return Err(TopicError::MultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevelWildcard);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(topic: &str) -> Result<TopicName, TopicError> {
        TopicName::try_from(topic.to_owned())
    }

    fn filter(topic: &str) -> Result<TopicFilter, TopicError> {
        TopicFilter::try_from(topic.to_owned())
    }

    #[test]
    fn topic_names_that_are_unusual_but_legal_are_accepted() {
        for topic in ["a", "/", "a//b", "/a/", "a b", "Grüße/🦀", "\u{feff}a", "a$b/$c"] {
            assert_eq!(name(topic).expect(topic).as_str(), topic);
        }
        assert!(name(&"a".repeat(MAX_TOPIC_BYTES)).is_ok());
        assert!(name(&"/".repeat(MAX_TOPIC_LEVELS - 1)).is_ok());
    }

    #[test]
    fn each_broken_rule_of_a_topic_name_has_its_own_words() {
        let long = "ä".repeat(MAX_TOPIC_BYTES / 2 + 1);
        let deep = "/".repeat(MAX_TOPIC_LEVELS);
        let cases = [
            ("", TopicError::Empty),
            (&long, TopicError::TooLong(MAX_TOPIC_BYTES + 1)),
            (&deep, TopicError::TooDeep(MAX_TOPIC_LEVELS + 1)),
            ("a\0b", TopicError::Forbidden('\0')),
            ("a\nb", TopicError::Forbidden('\n')),
            ("a\u{7f}", TopicError::Forbidden('\u{7f}')),
            ("a\u{9b}", TopicError::Forbidden('\u{9b}')),
            ("\u{fdd0}", TopicError::Forbidden('\u{fdd0}')),
            ("\u{1fffe}", TopicError::Forbidden('\u{1fffe}')),
            ("a/+/b", TopicError::Wildcard('+')),
            ("a#", TopicError::Wildcard('#')),
            ("$SYS/x", TopicError::Dollar),
            ("$", TopicError::Dollar),
        ];
        for (topic, error) in cases {
            assert_eq!(name(topic), Err(error), "{topic:?}");
        }
        assert_eq!(TopicError::Forbidden('\0').to_string(), "must not contain the character U+0000");
    }

    #[test]
    fn filters_follow_the_rules_for_wildcards_and_shared_subscriptions() {
        for good in ["#", "+", "a/#", "+/+/#", "/+", "a//#", "$SYS/#", "$share/g/#", "$share/g//", "$share", "a/$share"]
        {
            assert_eq!(filter(good).expect(good).as_str(), good);
        }
        for (bad, error) in [
            ("a#", TopicError::MultiLevelWildcard),
            ("#/a", TopicError::MultiLevelWildcard),
            ("a/#/b", TopicError::MultiLevelWildcard),
            ("##", TopicError::MultiLevelWildcard),
            ("a+/b", TopicError::SingleLevelWildcard),
            ("++", TopicError::SingleLevelWildcard),
            ("$share/g", TopicError::SharedSubscription),
            ("$share//a", TopicError::SharedSubscription),
            ("$share/g/", TopicError::SharedSubscription),
            ("$share/+/a", TopicError::SharedSubscription),
            ("$share/g/a#", TopicError::MultiLevelWildcard),
            ("a\0", TopicError::Forbidden('\0')),
            ("", TopicError::Empty),
        ] {
            assert_eq!(filter(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn filters_match_as_the_specification_says() {
        for (text, topic, matched) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "/", true),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/+", "a/$b", true),
            ("$share/g/a/+", "a/b", true),
            ("$share/g/#", "$SYS/x", false),
            ("$share/g/a", "$share/g/a", false),
        ] {
            assert_eq!(filter(text).unwrap().matches(&TopicName(topic.to_owned())), matched, "{text} and {topic}");
        }
    }

    #[test]
    fn a_filter_covers_what_never_goes_beyond_it() {
        for (text, other, covered) in [
            ("a/+", "a/b", true),
            ("a/+", "a/#", false),
            ("a/#", "a", true),
            ("a/#", "a/+/#", true),
            ("a/+/#", "a/#", false),
            ("+/#", "#", true),
            ("#", "+/#", true),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/+/load", true),
            ("#", "$share/g/a", true),
            ("$share/g/a/#", "a/b", true),
            ("/+/#", "/#", true),
            ("+", "$share", false),
        ] {
            assert_eq!(filter(text).unwrap().covers(&filter(other).unwrap()), covered, "{text} and {other}");
        }
        assert!(filter("$share/g/a").unwrap().is_shared());
        assert!(!filter("$share").unwrap().is_shared());
    }

    /// Everything of up to `depth` of these levels that is not empty.
    fn all_of(levels: &[&str], depth: usize) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(|&level| level.to_owned()).collect();
        let mut longest = all.clone();
        for _ in 1..depth {
            longest =
                longest.iter().flat_map(|start| levels.iter().map(move |level| format!("{start}/{level}"))).collect();
            all.extend_from_slice(&longest);
        }
        all.retain(|topic| !topic.is_empty());
        all
    }

    /// Every pair of filters that can be made of these levels, against every topic name that could tell them apart:
    /// one level deeper, and with a level that no filter names.
    #[test]
    fn a_filter_covers_another_exactly_when_it_matches_all_of_its_topic_names() {
        let topics: Vec<TopicName> = all_of(&["", "a", "$x", "unnamed"], 5).into_iter().map(TopicName).collect();
        let filters: Vec<(TopicFilter, Vec<bool>)> = all_of(&["", "a", "$x", "+", "#"], 4)
            .into_iter()
            .filter_map(|text| TopicFilter::try_from(text).ok())
            .map(|filter| (topics.iter().map(|topic| filter.matches(topic)).collect(), filter))
            .map(|(matched, filter)| (filter, matched))
            .collect();
        assert_eq!(
            filters.len(),
            5 + 4 * 5 + 16 * 5 + 64 * 5 - 1,
            "each combination in which `#` is last, but none that is empty"
        );
        for (filter, matched) in &filters {
            for (other, others) in &filters {
                let all_matched = matched.iter().zip(others).all(|(matched, other)| *matched || !other);
                assert_eq!(filter.covers(other), all_matched, "{} and {}", filter.as_str(), other.as_str());
            }
        }
    }

    /// The rules for matching written a second time, by characters instead of by levels.
    fn is_matched(filter: &str, topic: &str) -> bool {
        let after_level = || topic.find('/').map_or("", |end| &topic[end..]);
        match (filter.chars().next(), topic.chars().next()) {
            _ if filter == "#" => true,
            _ if filter == "/#" => topic.is_empty() || topic.starts_with('/'),
            (Some('+'), _) => is_matched(&filter[1..], after_level()),
            (Some(wanted), Some(found)) => {
                wanted == found && is_matched(&filter[wanted.len_utf8()..], &topic[found.len_utf8()..])
            }
            (wanted, found) => wanted == found,
        }
    }

    /// The rules of the specification written a second time, by characters and their neighbours instead of by levels.
    fn wildcards_are_legal(filter: &str) -> bool {
        let bytes = filter.as_bytes();
        let before = |i: usize| i == 0 || bytes[i - 1] == b'/';
        let after = |i: usize| i + 1 == bytes.len() || bytes[i + 1] == b'/';
        bytes.iter().enumerate().all(|(i, byte)| match byte {
            b'#' => before(i) && i + 1 == bytes.len(),
            b'+' => before(i) && after(i),
            _ => true,
        })
    }

    proptest! {
        #[test]
        fn a_topic_name_is_accepted_exactly_when_every_rule_holds(topic in "[a+#/$\u{0}\u{1f}\u{7f}\u{80}\u{a0}ö\u{fdd0}\u{ffff}]{0,6}") {
            let legal = !topic.is_empty()
                && !topic.starts_with('$')
                && topic.chars().all(|c| !"+#\u{0}\u{1f}\u{7f}\u{80}\u{fdd0}\u{ffff}".contains(c));
            prop_assert_eq!(name(&topic).is_ok(), legal);
        }

        #[test]
        fn any_text_is_either_refused_or_kept_byte_for_byte(topic in any::<String>()) {
            if let Ok(kept) = name(&topic) {
                prop_assert_eq!(kept.as_str(), &topic);
                prop_assert!(filter(&topic).is_ok(), "a topic name is a topic filter too");
            }
        }

        #[test]
        fn a_filter_is_accepted_exactly_when_its_wildcards_are_legal(text in "[ab+#/]{1,8}") {
            prop_assert_eq!(filter(&text).is_ok(), wildcards_are_legal(&text));
        }

        #[test]
        fn a_shared_filter_is_judged_by_its_group_and_its_inner_filter(group in "[a+#]{0,3}", inner in "[a+#/]{0,5}") {
            let legal = !group.is_empty() && !group.contains(['+', '#']) && !inner.is_empty() && wildcards_are_legal(&inner);
            prop_assert_eq!(filter(&format!("$share/{group}/{inner}")).is_ok(), legal);
        }

        #[test]
        fn a_filter_matches_as_its_characters_say(
            text in "(\\$share/g/)?(\\$?(|a|b|ö|\\+)/){0,3}(\\$?|a|b|ö|\\+|#)",
            topic in "(\\$?(|a|b|ö)/){0,3}(\\$?|a|b|ö)",
        ) {
            let inner = text.strip_prefix("$share/g/").unwrap_or(&text);
            if let (Ok(filter), false) = (filter(&text), topic.is_empty()) {
                let is_the_brokers = topic.starts_with('$') && inner.starts_with(['+', '#']);
                let matched = !is_the_brokers && is_matched(inner, &topic);
                prop_assert_eq!(filter.matches(&TopicName(topic)), matched);
            }
        }

        #[test]
        fn sharing_a_subscription_does_not_change_what_it_covers(text in "((a|\\+)/){0,2}(a|\\+|#)", other in "((a|\\+)/){0,2}(a|\\+|#)") {
            let shared = |text: &str| filter(&format!("$share/g/{text}")).unwrap();
            let covered = filter(&text).unwrap().covers(&filter(&other).unwrap());
            prop_assert_eq!(shared(&text).covers(&filter(&other).unwrap()), covered);
            prop_assert_eq!(filter(&text).unwrap().covers(&shared(&other)), covered);
        }

        #[test]
        fn length_is_counted_in_bytes(extra in 0usize..4, wide in any::<bool>()) {
            let unit = if wide { "ö" } else { "o" };
            let topic = unit.repeat((MAX_TOPIC_BYTES - 1) / unit.len() + extra);
            prop_assert_eq!(name(&topic).is_ok(), topic.len() <= MAX_TOPIC_BYTES);
        }
    }
}
