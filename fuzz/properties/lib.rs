//! Properties that hold for any input from outside. The fuzzer tries them with its own inputs, `tests/corpus.rs` with
//! the corpus.

mod bridge_toml;
mod hook_call;
mod outbox_row;
mod publish_body;
mod topic_filter;

pub use bridge_toml::bridge_toml;
pub use hook_call::hook_call;
pub use outbox_row::outbox_row;
pub use publish_body::publish_body;
pub use topic_filter::topic_filter;

/// Longer than any error text, however much of its input it quotes.
const MAX_LINE: usize = 2000;

/// An error text is shown in a terminal and in the journal.
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

/// The rules for topic names and topic filters.
fn is_legal_topic(topic: &str) -> bool {
    (1..=65_535).contains(&topic.len()) && topic.matches('/').count() < 128 && !topic.contains(is_forbidden)
}

/// The rules for a topic name that can be published to.
fn is_legal_name(topic: &str) -> bool {
    is_legal_topic(topic) && !topic.starts_with('$') && !topic.contains(['+', '#'])
}
