//! Topic filters and topic names, one a line.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::topic_filter(input));
