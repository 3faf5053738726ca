//! A stand-in for systemd: the socket that a service notifies (`sd_notify(3)`).

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::daemon::{Daemon, program};
use super::folder::Folder;

pub struct Supervisor {
    socket: UnixDatagram,
    folder: Folder,
}

impl Supervisor {
    pub fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("notify")
    }

    /// Starts the daemon as systemd does, with a watchdog interval in microseconds.
    pub fn start(&self, configuration: &str, watchdog: Option<u32>) -> Daemon {
        Daemon::run(configuration, |config| self.command(&config, watchdog))
    }

    /// The same as a command.
    pub fn command(&self, config: &Path, watchdog: Option<u32>) -> Command {
        let daemon = program();
        // exec in the shell keeps the process id that systemd would have set
        let mut command = Command::new("sh");
        command.args(["-c", r#"WATCHDOG_PID=$$ exec "$@""#, "sh"]).arg(daemon.get_program());
        for (name, value) in daemon.get_envs() {
            assert!(value.is_none(), "only removed");
            command.env_remove(name);
        }
        command.arg("--config").arg(config).env("NOTIFY_SOCKET", self.socket());
        if let Some(microseconds) = watchdog {
            command.env("WATCHDOG_USEC", microseconds.to_string());
        }
        command
    }

    /// Waits for a message that meets a condition.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Some(message) = self.next(deadline) {
            if is_it(&message) {
                return;
            }
            others.push(message);
        }
        panic!("no {what}, but {others:?}");
    }

    /// Waits for this message.
    #[track_caller]
    pub fn wait_for(&self, message: &str) {
        self.wait_until(message, |found| found == message);
    }

    /// The messages that arrive within this time.
    pub fn messages_within(&self, duration: Duration) -> Vec<String> {
        let deadline = Instant::now() + duration;
        std::iter::from_fn(|| self.next(deadline)).collect()
    }

    /// Discards the messages so far.
    pub fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    /// The next message, if it arrives in time.
    fn next(&self, deadline: Instant) -> Option<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        self.socket.set_read_timeout(Some(left)).unwrap();
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        let message = std::str::from_utf8(&message[..length]).unwrap();
        Some(message.trim_end().to_owned())
    }
}
