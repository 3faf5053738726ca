//! Tokens made by `--new-token`.

use super::daemon::{Daemon, program};

pub struct Token {
    /// The secret as sent in a header.
    pub secret: String,
    /// Its table `[[token]]`, which must precede `[http]`.
    pub table: String,
}

impl Token {
    /// A token that may publish to these topic filters.
    pub fn new(name: &str, publish: &str) -> Self {
        let output = program().args(["--new-token", name]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (secret, table) = text.split_once('\n').unwrap();
        let secret = secret.rsplit_once(' ').unwrap().1.to_owned();
        let table = table.replace("publish = [\"#\"]", &format!("publish = {publish}"));
        assert!(table.contains(publish), "{table}");
        Self { secret, table }
    }

    /// The same with one more key.
    pub fn with(mut self, line: &str) -> Self {
        self.table = format!("{}{line}\n", self.table);
        self
    }

    /// The same, and it may subscribe to these topic filters.
    pub fn reading(mut self, subscribe: &str) -> Self {
        self.table = self.table.replace("subscribe = []", &format!("subscribe = {subscribe}"));
        assert!(self.table.contains(subscribe), "{}", self.table);
        self
    }

    /// A daemon with this token, connected to the broker on this port.
    pub fn daemon(&self, port: u16) -> Daemon {
        Daemon::connected_with(&format!("[mqtt]\nport = {port}\n{}", self.table))
    }

    /// The value of `Authorization`.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.secret)
    }
}
