//! What the tests work with: processes that end with the test, folders that vanish, brokers, clients.

pub mod daemon;
pub mod folder;
pub mod http;
pub mod machine;
pub mod mosquitto;
pub mod process;
pub mod proxy;
pub mod scripted_broker;

use std::net::TcpListener;
use std::time::Duration;

/// How long a test waits for what must happen; far more than it takes, for slow machines.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A port on which nobody listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
