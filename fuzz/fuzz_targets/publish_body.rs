//! Bodies of `POST /publish`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::publish_body(input));
