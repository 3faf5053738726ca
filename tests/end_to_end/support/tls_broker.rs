//! A broker behind TLS, and configurations of daemons for it.

use super::certificates::{Authority, Certificate};
use super::daemon::Daemon;
use super::free_port;
use super::mosquitto::Mosquitto;

/// A broker with a TLS port for the daemon, and a plain port for clients of the test.
pub struct TlsBroker {
    pub mosquitto: Mosquitto,
    pub port: u16,
}

impl TlsBroker {
    pub fn start(certificate: &Certificate) -> Self {
        Self::with(&certificate.served())
    }

    /// With these lines for the TLS listener.
    pub fn with(lines: &str) -> Self {
        Self::up_to("TLSv1.3", lines)
    }

    /// With this highest version of TLS.
    pub fn up_to(version: &str, lines: &str) -> Self {
        let port = free_port();
        let lines = format!("allow_anonymous true\nlistener {port} 127.0.0.1\n{lines}");
        Self { mosquitto: Mosquitto::with_tls_up_to(version, free_port(), &lines), port }
    }

    /// The tables of a daemon that reaches it by this name.
    pub fn known_as(&self, name: &str, tls: &str) -> String {
        impatient(name, self.port, tls)
    }

    /// Waits for this many connections to the TLS listener.
    pub fn await_connections(&self, count: usize) {
        self.mosquitto.wait_for_nth(count, &format!(" on port {}.", self.port));
    }
}

/// Lines for a broker that requires certificates of this authority, and takes the user name from them.
pub fn asks_for_certificates(authority: &Authority) -> String {
    format!(
        "{}\ncafile {}\nrequire_certificate true\nuse_identity_as_username true",
        authority.issue("broker").served(),
        authority.certificate().display()
    )
}

/// The tables of a daemon that reconnects at full speed.
pub fn impatient(name: &str, port: u16, tls: &str) -> String {
    format!("[mqtt]\nserver = \"{name}\"\nport = {port}\nreconnect-max = 0.02\n[mqtt.tls]\nenabled = true\n{tls}\n")
}

pub fn with_protocol(configuration: &str, protocol: &str) -> String {
    configuration.replacen("[mqtt]", &format!("[mqtt]\nprotocol = \"{protocol}\""), 1)
}

#[track_caller]
pub fn assert_acknowledged(daemon: &Daemon, message: &str) {
    let reply = daemon.publish(&format!(r#"{{"topic": "t", "msg": "{message}", "qos": 1}}"#));
    assert_eq!(reply.status, 200, "{reply:?}");
}
