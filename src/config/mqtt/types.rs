//! What `[mqtt]` becomes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::choice;
use crate::message::Message;
use crate::tls::Tls;

/// The connection to the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Where the broker is.
    pub server: Server,
    /// `None` without TLS; always `None` where the broker is a Unix socket.
    pub tls: Option<Tls>,
    /// How long the connection may be silent before a PINGREQ.
    pub keepalive: Duration,
    /// `None` is anonymous.
    pub login: Option<Login>,
    /// The client identifier; if it is empty, the broker chooses one, which only a clean session allows.
    pub client_id: String,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// What happens to the session when a connection ends.
    pub session: Session,
    /// The largest MQTT packet that is sent, in bytes; larger ones that come in are cut in the journal.
    pub max_packet_size: u32,
    /// Publishes at QoS 1 and 2 that may be unacknowledged at a time; an MQTT 5 broker may allow less.
    pub max_inflight: u16,
    /// The webhook that the connection is for, if it is for one. Records name it.
    pub webhook: Option<String>,
    /// Messages at QoS 1 and 2 that an MQTT 5 broker may send before their acknowledgement.
    pub receive_maximum: u16,
    /// An MQTT 5 broker sends retained messages only when a topic filter is new to the session, not for each SUBSCRIBE.
    pub retained_once: bool,
    /// The longest time from the start of one attempt to connect to the start of the next.
    pub reconnect_max: Duration,
    /// `[mqtt.will]`.
    pub will: Option<Will>,
}

impl Mqtt {
    /// What records say of the connection, of a topic filter or of something else that belongs to it.
    #[must_use]
    pub fn named(&self, what: impl fmt::Display) -> String {
        let webhook = self.webhook.as_ref().map(|name| format!(" for webhook {name}"));
        format!("{what}{}", webhook.unwrap_or_default())
    }

    /// Where the broker is: `HOST:PORT` or a URL.
    #[must_use]
    pub fn address(&self) -> String {
        match (&self.server, self.tls.is_some()) {
            (Server::Tcp(place), false) => place.to_string(),
            (Server::Tcp(place), true) => format!("mqtts://{place}"),
            (Server::Unix(path), _) => format!("unix:{}", path.display()),
            (Server::WebSocket(place, path), false) => format!("ws://{place}{path}"),
            (Server::WebSocket(place, path), true) => format!("wss://{place}{path}"),
        }
    }
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// It listens for TCP.
    Tcp(Place),
    /// It listens on a Unix socket with this absolute path.
    Unix(PathBuf),
    /// It speaks WebSocket, at this absolute path of HTTP.
    WebSocket(Place, String),
}

/// A host and a port, shown as `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// What happens to the session when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The broker forgets it.
    Clean,
    /// The broker keeps it.
    Kept {
        /// Seconds for which an MQTT 5 broker keeps it.
        expiry: u32,
    },
}

kinds! {
    Protocol = |value| choice(value, &[("5", Self::V5), ("3.1.1", Self::V311)]);
}

/// User name and password.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// Never empty.
    pub user: String,
    /// May be empty.
    pub password: Secret,
}

/// The last will, and its opposite.
#[derive(Debug, Clone, PartialEq)]
pub struct Will {
    /// What the broker publishes when the connection is lost; retained where there is `online`.
    pub message: Message,
    /// What is retained on the same topic while the connection lasts.
    pub online: Option<Message>,
}

/// Text that is never shown.
#[derive(Clone, PartialEq)]
pub struct Secret(pub(in crate::config) String);

impl Secret {
    /// The text itself, to be sent only to whom it is for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
