//! Topic filters: what they match and what they cover.

use mqtt_bridge::message::{TopicFilter, TopicName};

use super::{assert_one_printable_line, is_legal_name, is_legal_topic};

/// How many lines are used, and how many of them as filters, which are compared in triples.
const MAX_LINES: usize = 8;
const MAX_FILTERS: usize = 4;

/// A level that no line has.
const UNNAMED: &str = "\u{1f}";

/// Each line is a topic filter and a topic name, or is refused. Accepted ones are compared with each other, and with a
/// second, slow implementation of the specification.
pub fn topic_filter(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let lines: Vec<&str> = text.split('\n').take(MAX_LINES).collect();
    let filters: Vec<TopicFilter> = lines.iter().filter_map(|line| filter(line)).take(MAX_FILTERS).collect();
    let names: Vec<TopicName> = lines.iter().filter_map(|line| name(line)).collect();
    for a in &filters {
        assert!(a.covers(a), "{a:?}");
        for name in &names {
            assert_eq!(a.matches(name), is_matched(a, name.as_str()), "{a:?} and {name:?}");
        }
        for b in &filters {
            assert_eq!(a.covers(b), witnesses(a, b).iter().all(|topic| is_matched(a, topic)), "{a:?} and {b:?}");
            let is_beyond = |topic: &&&str| is_matched(b, topic) && !is_matched(a, topic);
            if a.covers(b) {
                assert_eq!(lines.iter().find(is_beyond), None, "{a:?} covers {b:?}");
                let uncovered = filters.iter().find(|c| b.covers(c) && !a.covers(c));
                assert_eq!(uncovered, None, "{a:?} covers {b:?}");
            }
        }
    }
    let everything = TopicFilter::try_from("#".to_owned()).expect("it is legal");
    let is_uncovered = |filter: &&TopicFilter| everything.covers(filter) == inner(filter).starts_with('$');
    assert_eq!(filters.iter().find(is_uncovered), None);
}

/// The line as a topic filter, which is accepted exactly if it keeps the rules.
fn filter(line: &str) -> Option<TopicFilter> {
    let filter = TopicFilter::try_from(line.to_owned());
    let is_legal = is_legal_topic(line)
        && match line.strip_prefix("$share/").map(|shared| shared.split_once('/')) {
            None => are_wildcards_legal(line),
            Some(None) => false,
            Some(Some((group, inner))) => {
                !group.is_empty() && !group.contains(['+', '#']) && !inner.is_empty() && are_wildcards_legal(inner)
            }
        };
    assert_eq!(filter.is_ok(), is_legal, "{line:?}: {filter:?}");
    match filter {
        Ok(filter) => {
            assert_eq!(filter.as_str(), line);
            assert_eq!(filter.is_shared(), line.starts_with("$share/"), "{line:?}");
            Some(filter)
        }
        Err(error) => {
            assert_one_printable_line(&error.to_string());
            None
        }
    }
}

/// The same for a topic name.
fn name(line: &str) -> Option<TopicName> {
    let name = TopicName::try_from(line.to_owned());
    assert_eq!(name.is_ok(), is_legal_name(line), "{line:?}: {name:?}");
    match name {
        Ok(name) => {
            assert_eq!(name.as_str(), line);
            Some(name)
        }
        Err(error) => {
            assert_one_printable_line(&error.to_string());
            None
        }
    }
}

/// MQTT 5, 4.7.1: each wildcard is a whole level, and `#` the last one.
fn are_wildcards_legal(filter: &str) -> bool {
    let before_last = filter.rsplit_once('/').map_or("", |(before, _)| before);
    !before_last.contains('#') && filter.split('/').all(|level| level.len() == 1 || !level.contains(['+', '#']))
}

/// The filter part of a shared subscription (MQTT 5, 4.8.2).
fn inner(filter: &TopicFilter) -> &str {
    let shared = filter.as_str().strip_prefix("$share/").and_then(|shared| shared.split_once('/'));
    shared.map_or(filter.as_str(), |(_, inner)| inner)
}

/// MQTT 5, 4.7: whether a filter matches a topic name, including names that begin with `$`.
fn is_matched(filter: &TopicFilter, topic: &str) -> bool {
    let filter = inner(filter);
    let is_met_by_wildcard = topic.starts_with('$') && filter.starts_with(['+', '#']);
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    topic != [""] && !is_met_by_wildcard && are_matched(&filter, &topic)
}

fn are_matched(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => are_matched(filter, topic),
        ([wanted, filter @ ..], [found, topic @ ..]) => wanted == found && are_matched(filter, topic),
        _ => false,
    }
}

/// Topics that `b` matches, and that `a` matches all of only if it covers `b`: a level that `a` does not name stands
/// for `+`, and any number of them up to one more than the levels of `a` for `#`.
fn witnesses(a: &TopicFilter, b: &TopicFilter) -> Vec<String> {
    let named = inner(b).split('/').map(|level| if level == "+" { UNNAMED } else { level });
    let mut levels: Vec<&str> = named.collect();
    let mut topics = vec![];
    if levels.last() == Some(&"#") {
        levels.pop();
        for _ in 0..=inner(a).split('/').count() {
            topics.push(levels.join("/"));
            levels.push(UNNAMED);
        }
    }
    topics.push(levels.join("/"));
    topics.retain(|topic| !topic.is_empty());
    assert!(topics.iter().all(|topic| is_matched(b, topic)), "{b:?}: {topics:?}");
    topics
}
