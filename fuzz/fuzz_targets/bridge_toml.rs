//! Texts of `bridge.toml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::bridge_toml(input));
