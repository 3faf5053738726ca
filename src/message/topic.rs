//! Topic names and topic filters, checked when they are made, and which topic names a topic filter matches.

use std::borrow::Borrow;

use thiserror::Error;

use crate::memory::allocated;

/// The longest topic name or topic filter, in bytes of UTF-8 (MQTT 5, 4.7.3-3).
pub const MAX_TOPIC_BYTES: usize = 65_535;
/// The most levels of a topic name or topic filter.
///
/// No specification limits them, but brokers do, and end the connection over it: EMQX at 128, mosquitto at 200.
pub const MAX_TOPIC_LEVELS: usize = 128;
/// How the filter of a shared subscription begins (MQTT 5, 4.8.2).
const SHARED: &str = "$share/";

/// A topic name that one may publish to: the rules of MQTT 5, 4.7, and what brokers enforce beyond its MUSTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName(String);

impl TopicName {
    /// The name as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.0.capacity())
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

    /// Whether it is `$share/GROUP/FILTER`, of which each message goes to one subscriber of the group (MQTT 5, 4.8.2).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.starts_with(SHARED)
    }

    /// Whether it matches this topic name; of a shared subscription the inner filter counts.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.matches_name(&topic.0)
    }

    /// The same for a topic name that a broker sent, which may start with `$`.
    #[must_use]
    pub fn matches_name(&self, topic: &str) -> bool {
        self.takes(topic.split('/'))
    }

    /// Whether it matches all that the other one can match; of a shared subscription the inner filter counts.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.takes(other.levels())
    }

    /// Whether it matches everything that these levels match: those of a topic name, or those of a topic filter.
    fn takes<'a>(&self, levels: impl Iterator<Item = &'a str>) -> bool {
        let mut levels = levels.peekable();
        // MQTT 5, 4.7.2-1: a wildcard in the first level does not match the broker's own topics
        let is_the_brokers = levels.peek().is_some_and(|first| first.starts_with('$'));
        if is_the_brokers && self.inner().starts_with(['+', '#']) {
            return false;
        }
        for level in self.levels() {
            match (level, levels.next()) {
                // matches the level above, too
                ("#", _) => return true,
                // `#` of the other one matches several levels, which one level here cannot
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (level, Some(taken)) if level == taken => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// The levels that are matched, one by one; of a shared subscription those of the inner filter. `#` is returned as
    /// `+/#`, because no topic name is empty.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        let inner = match self.inner() {
            // no topic name is empty, so that these match at least one level more
            "#" => "+/#",
            "/#" => "/+/#",
            other => other,
        };
        inner.split('/')
    }

    fn inner(&self) -> &str {
        // checked by `try_from`
        inner_filter(&self.0).unwrap_or(&self.0)
    }
}

/// A topic filter is equal to its text, and has the same hash.
impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.0
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

/// The rules that topic names and topic filters share.
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
pub fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// The part of a shared subscription that is matched; the whole of a filter that is not shared.
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
mod tests;
