//! `[http]`: where and how requests are served.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::kind::{Hosts, InBytes, LARGEST_PACKET, Origins, Seconds, Whole, shown, text, unix_path, unix_rule};

const MAX_CONNECTIONS: u32 = 100_000;

table! {
    /// Where and how requests are served.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Http from HttpKeys {
        /// Where to listen.
        listen: Listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000))),
        /// Threads that take requests.
        workers: Whole<usize, 1, 64> = 2,
        /// The longest body of a request, in bytes.
        max_body: InBytes<Whole<usize, 1, LARGEST_PACKET>> = 1_048_576,
        /// Connections that are open at a time.
        max_connections: Whole<usize, 1, MAX_CONNECTIONS> = 1000,
        /// Streams of received messages that are open at a time; 0 allows none.
        max_listeners: Whole<usize, 0, MAX_CONNECTIONS> = 200,
        /// How long to wait for a retained message after the broker has answered the SUBSCRIBE.
        retained_wait: Seconds<10> = Duration::from_secs(1),
        /// How long a connection may be without a request.
        idle_timeout: Seconds<100> = Duration::from_secs(60),
        /// How long a request may take to arrive, from its first byte to its last.
        request_timeout: Seconds<100> = Duration::from_secs(10),
        /// Whether anybody may publish where other machines can reach us and there are no tokens.
        allow_anonymous: bool = false,
        /// Names and addresses, besides those of loopback, that `Host` may have; in lower case, IPv6 without brackets.
        allowed_hosts: Hosts = Vec::new(),
        /// Origins of web pages that may call us, as browsers write them.
        allowed_origins: Origins = Vec::new(),
    }
}

/// Where requests are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

kinds! {
    Listen = listen;
}

fn listen(value: &Value) -> Result<Listen, String> {
    let text = text(value)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let wrong = || format!("must be {}, such as \"unix:/run/mqtt-bridge.sock\", not {}", unix_rule(), shown(value));
        return unix_path(path).map(Listen::Unix).ok_or_else(wrong);
    }
    let allowed =
        "an address and a port such as \"127.0.0.1:8000\" or \"[::1]:8000\", or \"unix:\" and an absolute path";
    text.parse().map(Listen::Tcp).map_err(|_| format!("must be {allowed}, not {}", shown(value)))
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
