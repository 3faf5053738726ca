//! A daemon and a broker whose log shows everything that was published.

use super::daemon::Daemon;
use super::http::{Connection, Reply};
use super::mosquitto::Mosquitto;
use super::request::raw;

/// A message with the length in [`LENGTH`].
pub const MESSAGE: &str = r#"{"topic":"t","msg":"x"}"#;
pub const LENGTH: &str = "Content-Length: 23\r\n";
/// The longest accepted body.
pub const MAX_BODY: usize = 4000;
/// A request placed where a client and the daemon could disagree on the end of the one before it.
pub const SMUGGLED: &str =
    "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n{\"topic\":\"smuggled\",\"msg\":1}";

/// The memory limit for the daemon, whatever its clients do. The code of a debug build takes 11 MiB of it.
pub const MAX_PEAK_KIB: usize = 40 * 1024;

pub struct HttpSetup {
    broker: Mosquitto,
    pub daemon: Daemon,
}

impl HttpSetup {
    /// With a request timeout that is longer than stalls of a busy machine.
    pub fn start() -> Self {
        Self::waiting(20)
    }

    /// With a request timeout of one second.
    pub fn impatient() -> Self {
        Self::waiting(1)
    }

    fn waiting(seconds: u32) -> Self {
        let broker = Mosquitto::start();
        let limits = format!("request-timeout = {seconds}\nmax-body = {MAX_BODY}");
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\n{limits}", broker.port()));
        Self { broker, daemon }
    }

    /// A connection on which these bytes were sent at once.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut connection = self.daemon.connect();
        connection.send(bytes.as_ref());
        connection
    }

    /// The only reply to these bytes and a request smuggled behind them: it announces the end of the connection, the
    /// connection ends, and other clients are served.
    #[track_caller]
    pub fn last_reply(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.send([bytes.as_ref(), SMUGGLED.as_bytes()].concat());
        let reply = connection.reply();
        assert_last(&reply);
        connection.assert_ended();
        self.assert_serving();
        reply
    }

    /// The reply to these bytes; the next request on the connection gets its own.
    #[track_caller]
    pub fn reply(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.send(bytes);
        let reply = connection.reply();
        assert_ours(&reply);
        assert_eq!(reply.header("connection"), None, "{reply:?}");
        connection.post("/publish", MESSAGE.as_bytes()).assert_published();
        reply
    }

    /// A reply of `tiny_http` itself: a status without a body, and then the end.
    #[track_caller]
    pub fn assert_refused_by_tiny_http(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let mut connection = self.send([bytes.as_ref(), SMUGGLED.as_bytes()].concat());
        let reply = connection.reply();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{reply:?}");
        connection.assert_ended();
        self.assert_serving();
    }

    /// Another client can publish.
    #[track_caller]
    pub fn assert_serving(&self) {
        let mut other = self.daemon.connect();
        other.post("/publish", MESSAGE.as_bytes()).assert_published();
    }

    /// Stops the daemon, and checks that nothing smuggled was published.
    #[track_caller]
    pub fn assert_nothing_smuggled(mut self) {
        let peak = self.daemon.resources().peak_kib;
        assert!(peak < MAX_PEAK_KIB, "{peak} KiB");
        let published = self.stop();
        let smuggled = published.iter().filter(|line| !line.contains("'t'"));
        assert_eq!(smuggled.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// Stops the daemon, and returns how many messages were published.
    pub fn published(mut self) -> usize {
        self.stop().len()
    }

    /// The broker's log lines of all messages.
    fn stop(&mut self) -> Vec<String> {
        // accepted messages are published before the end
        self.daemon.signal("TERM");
        assert_eq!(self.daemon.wait_for_end().code(), Some(0));
        self.broker.wait_for("Received DISCONNECT from");
        self.broker.log_with("Received PUBLISH")
    }
}

/// A reply of the daemon that announces the end of the connection.
#[track_caller]
pub fn assert_last(reply: &Reply) {
    assert_ours(reply);
    assert_eq!(reply.header("connection"), Some("close"), "{reply:?}");
}

/// A reply of the daemon, not of `tiny_http`.
#[track_caller]
pub fn assert_ours(reply: &Reply) {
    assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")), "{reply:?}");
    assert_eq!(reply.header("server"), None, "{reply:?}");
}

/// `POST /publish` with these lines after `Host`, and then these bytes.
pub fn post(lines: &str, rest: &str) -> String {
    raw("POST /publish", lines, rest)
}

/// A body in one chunk, with the last chunk.
pub fn chunks(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}
