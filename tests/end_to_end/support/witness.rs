//! A daemon whose broker tells all that was published, and so what was not.

use super::daemon::Daemon;
use super::http::{Connection, Reply};
use super::mosquitto::Mosquitto;
use super::request::raw;

/// A message with the length that [`LENGTH`] tells.
pub const MESSAGE: &str = r#"{"topic":"t","msg":"x"}"#;
pub const LENGTH: &str = "Content-Length: 23\r\n";
/// The longest body that is taken.
pub const MAX_BODY: usize = 4000;
/// A request that stands where a sender and the daemon could disagree on what it is.
pub const SMUGGLED: &str =
    "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n{\"topic\":\"smuggled\",\"msg\":1}";

/// What the daemon may take at most, whatever its clients do.
pub const MAX_PEAK_KIB: usize = 32 * 1024;

pub struct Witness {
    broker: Mosquitto,
    pub daemon: Daemon,
}

impl Witness {
    /// One that waits for a request for longer than a busy machine stands still.
    pub fn start() -> Self {
        Self::waiting(20)
    }

    /// One that waits for no more than a second.
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

    /// The only answer to these bytes and a request that is smuggled behind them: it says that the connection ends,
    /// the connection does, and others are served.
    #[track_caller]
    pub fn last_reply(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.send([bytes.as_ref(), SMUGGLED.as_bytes()].concat());
        let reply = connection.reply();
        assert_last(&reply);
        connection.assert_ended();
        self.assert_serving();
        reply
    }

    /// The answer to these bytes, and that the next request on the connection gets its own.
    #[track_caller]
    pub fn reply(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.send(bytes);
        let reply = connection.reply();
        assert_ours(&reply);
        assert_eq!(reply.header("connection"), None, "{reply:?}");
        connection.post("/publish", MESSAGE.as_bytes()).assert_published();
        reply
    }

    /// What the library answers by itself: a status and nothing else, before the end.
    #[track_caller]
    pub fn assert_refused_by_library(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let mut connection = self.send([bytes.as_ref(), SMUGGLED.as_bytes()].concat());
        let reply = connection.reply();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{reply:?}");
        connection.assert_ended();
        self.assert_serving();
    }

    /// Somebody else publishes.
    #[track_caller]
    pub fn assert_serving(&self) {
        let mut other = self.daemon.connect();
        other.post("/publish", MESSAGE.as_bytes()).assert_published();
    }

    /// Nothing was published but what was asked for, and nothing will be: the daemon is stopped.
    #[track_caller]
    pub fn assert_nothing_smuggled(mut self) {
        let peak = self.daemon.vitals().peak_kib;
        assert!(peak < MAX_PEAK_KIB, "{peak} KiB");
        let published = self.stop();
        let smuggled = published.iter().filter(|line| !line.contains("'t'"));
        assert_eq!(smuggled.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// How much was published in all: the daemon is stopped.
    pub fn published(mut self) -> usize {
        self.stop().len()
    }

    /// What the broker says of each message.
    fn stop(&mut self) -> Vec<String> {
        // what was accepted is published before the end
        self.daemon.signal("TERM");
        assert_eq!(self.daemon.wait_for_end().code(), Some(0));
        self.broker.wait_for("Received DISCONNECT from");
        self.broker.log_with("Received PUBLISH")
    }
}

/// An answer of ours that says that it is the last.
#[track_caller]
pub fn assert_last(reply: &Reply) {
    assert_ours(reply);
    assert_eq!(reply.header("connection"), Some("close"), "{reply:?}");
}

/// An answer of ours, and not of the library's.
#[track_caller]
pub fn assert_ours(reply: &Reply) {
    assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")), "{reply:?}");
    assert_eq!(reply.header("server"), None, "{reply:?}");
}

/// `POST /publish` with these lines after `Host`, and then these bytes.
pub fn post(lines: &str, rest: &str) -> String {
    raw("POST /publish", lines, rest)
}

/// A body in one chunk, and the end of it.
pub fn chunks(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}
