//! What must hold for everything that comes from outside, whatever it is. The fuzzer tries it with inputs of its own,
//! `tests/corpus.rs` with the corpus alone.

mod bridge_toml;
mod publish_body;
mod topic_filter;

pub use bridge_toml::bridge_toml;
pub use publish_body::publish_body;
pub use topic_filter::topic_filter;

/// Longer than any error text, whatever it repeats of its input.
const MAX_LINE: usize = 2000;

/// An error text is read by people, in a terminal and in the journal.
fn assert_one_printable_line(text: &str) {
    let is_printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.is_empty() && text.chars().all(is_printable), "not one printable line: {text:?}");
    assert!(text.len() <= MAX_LINE, "{} bytes: {text}", text.len());
}

/// Control characters and noncharacters, over which brokers end the connection (MQTT 5, 1.5.4).
fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    code < 0x20 || (0x7f..0xa0).contains(&code) || (0xfdd0..0xfdf0).contains(&code) || code % 0x1_0000 >= 0xfffe
}

/// The rules that topic names and topic filters share.
fn is_legal_topic(topic: &str) -> bool {
    (1..=65_535).contains(&topic.len()) && topic.matches('/').count() < 128 && !topic.contains(is_forbidden)
}

/// The rules of a topic name that one may publish to.
fn is_legal_name(topic: &str) -> bool {
    is_legal_topic(topic) && !topic.starts_with('$') && !topic.contains(['+', '#'])
}
