//! The tools of the tests: child processes and folders that end with the test, brokers and clients.

pub mod background_client;
pub mod broker_log;
pub mod brokers;
pub mod builds;
pub mod certificates;
pub mod clients;
pub mod daemon;
pub mod disk;
pub mod endpoint;
pub mod events;
pub mod folder;
pub mod hook;
pub mod http;
pub mod http_setup;
pub mod journald;
pub mod limited;
pub mod limits;
pub mod machine;
pub mod metrics;
pub mod mosquitto;
pub mod mqtt_clients;
pub mod network;
pub mod nginx;
pub mod outbox;
pub mod page;
pub mod process;
pub mod proxy;
pub mod publisher;
pub mod reader;
pub mod request;
pub mod resources;
pub mod scripted_broker;
pub mod stalls;
pub mod supervisor;
pub mod tls_broker;
pub mod token;
pub mod waiting;
pub mod webhook;
pub mod webhook_broker;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

pub use waiting::{PATIENCE, SLACK};

/// A free port outside the system's own range (ip(7), `ip_local_port_range`), and which no concurrent test takes:
/// nextest numbers its slots.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const EACH: u32 = 1000;
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u32>().ok());
    let slot = number("NEXTEST_TEST_GLOBAL_SLOT").unwrap_or_else(std::process::id) % 12;
    let of_this_process = std::process::id().wrapping_mul(31);
    let mut candidates = std::iter::repeat_with(|| {
        let number = of_this_process.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        u16::try_from(20_000 + slot * EACH + number % EACH).unwrap()
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.by_ref().take(1000).find(is_free).expect("a free port")
}
