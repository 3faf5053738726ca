//! Topic names with placeholders, which the values of a request fill.

use std::fmt;

use super::topic::{TopicError, TopicFilter, TopicName, is_forbidden};
use crate::printable::Printable;

/// How much of a placeholder an error shows, in bytes.
const SHOWN: usize = 80;

/// A topic name in which each placeholder stands for a level or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    parts: Vec<Part>,
    /// What every filled topic name matches.
    filter: TopicFilter,
}

/// A piece of a template: text, or a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// Which value of a request fills a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// The parameter of this name in the query.
    Query(String),
    /// The header of this name.
    Header(String),
    /// The value in the JSON body that this pointer identifies (RFC 6901).
    Json(String),
}

impl TopicTemplate {
    /// Parses a topic name that may contain `{query.NAME}`, `{header.NAME}` and `{json./POINTER}`.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (inner, behind) = after.split_once('}').ok_or("must have a `}` for each `{`")?;
            parts.extend([Part::Text(before.to_owned()), Part::Value(Placeholder::parse(inner)?)]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}'))) {
            return Err("must have a `{` for each `}`".to_owned());
        }
        let fill = |value: &str| parts.iter().map(|part| part.text_or(value)).collect::<String>();
        // a text without wildcards and placeholders is checked as the name that it is
        TopicName::try_from(fill("x")).map_err(|error| error.to_string())?;
        let level = |level: &str| if level.contains('\0') { "+".to_owned() } else { level.to_owned() };
        let filter = fill("\0").split('/').map(level).collect::<Vec<_>>().join("/");
        Ok(Self { filter: TopicFilter::try_from(filter).map_err(|error| error.to_string())?, parts })
    }

    /// The topic filter that matches every filled topic name: `+` for each level with a placeholder.
    #[must_use]
    pub fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// The names of the headers that fill placeholders.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(Placeholder::Header(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The topic name with the values that `value` finds for the placeholders.
    ///
    /// # Errors
    /// A value that is missing, or that is not a part of one level. The error names the placeholder.
    pub fn fill(&self, mut value: impl FnMut(&Placeholder) -> Result<String, String>) -> Result<TopicName, String> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Value(placeholder) => {
                    let value = value(placeholder).and_then(check).map_err(|what| format!("`{placeholder}` {what}"))?;
                    name.push_str(&value);
                }
            }
        }
        TopicName::try_from(name).map_err(|error| format!("the topic {error}"))
    }
}

impl Part {
    fn text_or<'a>(&'a self, value: &'a str) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Value(_) => value,
        }
    }
}

impl Placeholder {
    fn parse(inner: &str) -> Result<Self, String> {
        let known = "there are `{query.NAME}`, `{header.NAME}` and `{json./POINTER}`";
        let wrong = || format!("has an unknown placeholder `{{{}}}`: {known}", Printable::new(inner, SHOWN));
        match inner.split_once('.').ok_or_else(wrong)? {
            ("query", name) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            ("header", name) if !name.is_empty() => Ok(Self::Header(name.to_owned())),
            ("json", pointer) if pointer.starts_with('/') => Ok(Self::Json(pointer.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Query(name) => ("query", name),
            Self::Header(name) => ("header", name),
            Self::Json(pointer) => ("json", pointer),
        };
        write!(f, "{{{kind}.{}}}", Printable::new(name, SHOWN))
    }
}

/// Requires a value that is a level or a part of one, and not empty.
fn check(value: String) -> Result<String, String> {
    match value.chars().find(|&c| matches!(c, '/' | '+' | '#') || is_forbidden(c)) {
        Some(character) if is_forbidden(character) => Err(TopicError::Forbidden(character).to_string()),
        Some(character) => Err(format!("must not contain `{character}`: it is one level of a topic or a part of it")),
        None if value.is_empty() => Err("must not be empty".to_owned()),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(text: &str, value: &str) -> Result<String, String> {
        let template = TopicTemplate::parse(text).unwrap();
        template.fill(|_| Ok(value.to_owned())).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn values_fill_a_level_or_a_part_of_one() {
        assert_eq!(fill("home/{query.button}", "left"), Ok("home/left".to_owned()));
        assert_eq!(fill("home/s-{header.X-Id}-{json./a/b}/on", "7"), Ok("home/s-7-7/on".to_owned()));
        assert_eq!(fill("home", "7"), Ok("home".to_owned()));
        assert_eq!(TopicTemplate::parse("home/s-{query.a}/on").unwrap().filter().as_str(), "home/+/on");
    }

    #[test]
    fn a_value_that_leaves_its_level_is_refused_with_its_placeholder() {
        for (value, error) in [
            ("", "must not be empty"),
            ("a/b", "must not contain `/`: it is one level of a topic or a part of it"),
            ("+", "must not contain `+`: it is one level of a topic or a part of it"),
            ("a#", "must not contain `#`: it is one level of a topic or a part of it"),
            ("a\0", "must not contain the character U+0000"),
        ] {
            assert_eq!(fill("home/{query.a}", value), Err(format!("`{{query.a}}` {error}")));
        }
        assert_eq!(fill("home/{query.a}", "a\n"), Err("`{query.a}` must not contain the character U+000A".to_owned()));
        let dollar = "the topic must not start with `$`: such topics belong to the broker";
        assert_eq!(fill("{query.a}/b", "$SYS"), Err(dollar.to_owned()));
    }

    #[test]
    fn each_error_of_a_template_names_the_rule() {
        let unknown = |inner| {
            let known = "there are `{query.NAME}`, `{header.NAME}` and `{json./POINTER}`";
            format!("has an unknown placeholder `{{{inner}}}`: {known}")
        };
        let wildcard = "must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter";
        for (text, error) in [
            ("a/{query.a", "must have a `}` for each `{`".to_owned()),
            ("a/query.a}", "must have a `{` for each `}`".to_owned()),
            ("a/{b}", unknown("b")),
            ("a/{query.}", unknown("query.")),
            ("a/{json.b}", unknown("json.b")),
            ("a/{cookie.b}", unknown("cookie.b")),
            ("a/{b\n}", unknown("b\\n")),
            ("a/+/{query.a}", wildcard.to_owned()),
            ("", "must not be empty".to_owned()),
            ("$SYS/{query.a}", "must not start with `$`: such topics belong to the broker".to_owned()),
        ] {
            assert_eq!(TopicTemplate::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn values_never_change_the_number_of_levels(values in prop::collection::vec(".{0,12}", 2)) {
            let template = TopicTemplate::parse("a/{query.0}/b-{query.1}/c").unwrap();
            let mut values = values.into_iter();
            if let Ok(name) = template.fill(|_| Ok(values.next().unwrap_or_default())) {
                prop_assert_eq!(name.as_str().split('/').count(), 4);
                prop_assert!(!name.as_str().contains(['+', '#', '\0']));
                prop_assert!(template.filter().matches(&name));
            }
        }
    }
}
