//! Calls of a hook: a topic, a query, a header, and a body, each on a line of its own.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::hook_call(input));
