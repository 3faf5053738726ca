//! Hooks with secrets of their own.

use super::daemon::{Daemon, program};

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

/// A daemon with these tables and every record, connected to the broker on this port.
pub fn talkative(port: u16, tables: &str) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {port}\n[log]\nlevel = \"debug\"\n{tables}"))
}
