//! Hooks with secrets of their own.

use super::daemon::{Daemon, program};
use super::waiting::eventually;

pub struct Hook {
    /// The end of the path.
    pub secret: String,
    /// The whole path.
    pub path: String,
    /// Its table `[[hook]]`, which must precede `[http]`.
    pub table: String,
}

impl Hook {
    /// A hook made by `--new-hook`, with this method, this topic and these further lines.
    pub fn new(name: &str, method: &str, topic: &str, lines: &str) -> Self {
        let output = program().args(["--new-hook", name]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (path, table) = text.split_once('\n').unwrap();
        let path = path.rsplit_once(' ').unwrap().1.to_owned();
        let secret = path.rsplit_once('/').unwrap().1.to_owned();
        let table = table.replace("[\"POST\"]", &format!("[\"{method}\"]"));
        let table = table.replace(&format!("topic = \"hooks/{name}\""), &format!("topic = \"{topic}\"\n{lines}"));
        assert!(table.contains(method) && table.contains(topic), "{table}");
        Self { secret, path, table: format!("{table}\n") }
    }

    /// The SHA-256 of the secret.
    pub fn sha256(&self) -> &str {
        self.table.split("secret-sha256 = \"").nth(1).unwrap().split('"').next().unwrap()
    }

    /// A daemon with this hook, connected to the broker on this port.
    pub fn daemon(&self, port: u16) -> Daemon {
        Daemon::connected_with(&format!("[mqtt]\nport = {port}\n{}", self.table))
    }
}

/// Waits until a publish of the daemon waits for the broker.
pub fn await_waiting(daemon: &Daemon) {
    let waiting = || daemon.get("/status").json()["publishes"]["waiting"].as_u64();
    eventually("a publish waits", waiting, |count| *count == Some(1));
}

/// A daemon with these tables and every record, connected to the broker on this port.
pub fn talkative(port: u16, tables: &str) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {port}\n[log]\nlevel = \"debug\"\n{tables}"))
}
