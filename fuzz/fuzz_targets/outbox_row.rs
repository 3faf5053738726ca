//! The row of a message in the file of the outbox.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::outbox_row(input));
