//! The built daemon against real brokers and real clients: one test per promise of README.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod acknowledging;
mod addresses;
mod asking;
mod breaches;
mod brokers;
mod browsers;
mod bulk;
mod certificates;
mod chaos;
mod command_line;
mod connecting;
mod emqx;
mod faults;
mod framing;
mod front_door;
mod healing;
mod http_semantics;
mod journal;
mod keeping_alive;
mod large;
mod link;
mod listeners;
mod manual;
mod messages;
mod notify;
mod openapi;
mod operations;
mod other_side;
mod package;
mod page;
mod presence;
mod publishing;
mod receiving;
mod refusals;
mod requests;
mod resuming;
mod retained;
mod sharing;
mod slow_clients;
mod soak;
mod sockets;
mod stopping;
mod streams;
mod subscribing;
mod subscriptions;
mod taking_over;
mod tls;
mod tokens;
mod topics;
mod transports;
mod turns;
mod unit_file;
