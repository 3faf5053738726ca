//! The rules for topic names and topic filters, by examples and against a second implementation.

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
fn each_broken_rule_of_a_topic_name_has_its_own_error_text() {
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
    for good in ["#", "+", "a/#", "+/+/#", "/+", "a//#", "$SYS/#", "$share/g/#", "$share/g//", "$share", "a/$share"] {
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
fn a_filter_covers_another_that_matches_nothing_more() {
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

/// Every topic of up to `depth` of these levels that is not empty.
fn all_of(levels: &[&str], depth: usize) -> Vec<String> {
    let mut all: Vec<String> = levels.iter().map(|&level| level.to_owned()).collect();
    let mut longest = all.clone();
    for _ in 1..depth {
        longest = longest.iter().flat_map(|start| levels.iter().map(move |level| format!("{start}/{level}"))).collect();
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
    #![proptest_config(crate::proptests::config())]

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
