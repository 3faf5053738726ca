//! The corpus of the fuzzer without the fuzzer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../fuzz/properties/lib.rs"]
mod properties;

use std::path::Path;

#[test]
fn the_corpus_of_publish_bodies_holds() {
    try_all("publish_body", properties::publish_body);
}

#[test]
fn the_corpus_of_topic_filters_holds() {
    try_all("topic_filter", properties::topic_filter);
}

#[test]
fn the_corpus_of_bridge_toml_holds() {
    try_all("bridge_toml", properties::bridge_toml);
}

#[test]
fn the_corpus_of_hook_calls_holds() {
    try_all("hook_call", properties::hook_call);
}

#[test]
fn the_corpus_of_rows_of_the_outbox_holds() {
    try_all("outbox_row", properties::outbox_row);
}

/// Checks a property with each input of a target; there must be at least one.
fn try_all(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "no input in {}", folder.display());
    for path in inputs {
        // shown if the check fails
        println!("{}", path.display());
        check(&std::fs::read(&path).unwrap());
    }
}
