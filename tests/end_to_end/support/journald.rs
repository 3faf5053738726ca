//! A separate journald in a mount namespace with its own `/run`. Needs root and Linux namespaces.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::daemon::program;
use super::folder::Folder;
use super::process::Process;
use super::waiting::{PATIENCE, eventually, eventually_within};

pub struct Journald {
    process: Process,
    folder: Folder,
}

impl Journald {
    pub fn start() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-c", include_str!("journald.sh")]);
        let journald = Self { process: Process::start(&mut command), folder: Folder::new() };
        let root = format!("/proc/{}/root", journald.process.id());
        // seen from inside the namespace, since the machine's /run may have a journald too
        let is_there = || {
            Path::new(&root).join("run/systemd/journal/test-is-ready").exists()
                && Path::new(&root).join("run/systemd/journal/stdout").exists()
        };
        eventually("journald, which needs root, mount namespaces and systemd", is_there, |is_there| *is_there);
        journald
    }

    /// Stops or continues it.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The daemon as systemd starts it, with standard error connected to this journald.
    pub fn daemon(&self, config: &str) -> Process {
        let path = self.folder.write("bridge.toml", config);
        let script = self.folder.write("stream.py", include_str!("journal_stream.py"));
        let mut command = self.enter("python3");
        command.arg(script).arg(program().get_program()).arg("--config").arg(path);
        Process::start(&mut command)
    }

    /// Prints the messages of the daemon's records as they are written, one per line, on standard error.
    pub fn follow(&self) -> Process {
        let mut command = self.enter("sh");
        Process::start(command.args(["-c", "exec journalctl -f -n all -o cat -t mqtt-bridge >&2"]))
    }

    /// The records with this field, in order.
    pub fn records(&self, field: &str) -> Vec<Value> {
        let synchronized = self.enter("journalctl").arg("--sync").status().unwrap();
        assert!(synchronized.success());
        let output = self.enter("journalctl").args(["-a", "-o", "json", "--no-pager", field]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same, as soon as there are this many.
    pub fn wait_for_records(&self, count: usize, field: &str) -> Vec<Value> {
        let what = format!("{count} records with {field}");
        eventually_within(3 * PATIENCE, &what, || self.records(field), |records| records.len() >= count)
    }

    fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.process.id())).arg(program);
        command
    }
}

/// The bytes of a field: journalctl prints those that are not text as numbers.
pub fn bytes(field: &Value) -> Vec<u8> {
    match field {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(numbers) => numbers.iter().map(|n| u8::try_from(n.as_u64().unwrap()).unwrap()).collect(),
        other => panic!("no field: {other}"),
    }
}
