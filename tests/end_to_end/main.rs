//! The built daemon against real brokers and real clients: one test per promise of README.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod acknowledging;
mod chaos;
mod command_line;
mod connecting;
mod link;
mod publishing;
mod receiving;
mod refusals;
mod stopping;
mod unit_file;
