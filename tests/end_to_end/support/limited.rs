//! The built daemon with the memory limit of its unit, where the machine allows that.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, program};

/// How long the system may take to notice that a control group is empty.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// The daemon, which is killed when it exceeds `MemoryMax=` of its unit.
pub struct Limited {
    daemon: Daemon,
    // dropped after the daemon, which is in the group
    _group: Option<Group>,
}

impl Limited {
    /// Starts it with this configuration, and waits until it serves HTTP.
    pub fn with(configuration: &str) -> Self {
        let group = Group::new(memory_max());
        let daemon = Daemon::run(configuration, |config| {
            let Some(group) = &group else {
                let mut command = program();
                command.arg("--config").arg(config);
                return command;
            };
            let mut command = super::daemon::clean(Command::new("sh"));
            command.args(["-c", "echo $$ >\"$0\"; exec \"$@\""]).arg(group.0.join("cgroup.procs"));
            command.arg(program().get_program()).arg("--config").arg(config);
            command
        });
        Self { daemon, _group: group }
    }
}

impl Deref for Limited {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

/// `MemoryMax=` of the unit, in bytes.
fn memory_max() -> u64 {
    let unit = include_str!("../../../systemd/mqtt-bridge.service");
    let max = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("a MemoryMax");
    max.strip_suffix('M').expect("mebibytes").parse::<u64>().unwrap() << 20
}

/// A control group of either version.
struct Group(PathBuf);

impl Group {
    /// `None` without root, or in a container without this controller; then only the peak is checked.
    fn new(max: u64) -> Option<Self> {
        let places = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        places.into_iter().find_map(|(parent, file)| {
            drop(fs::write(Path::new(parent).join("cgroup.subtree_control"), "+memory"));
            let name = format!("mqtt-bridge-test-{}-{:?}", std::process::id(), thread::current().id());
            let group = Self(Path::new(parent).join(name));
            fs::create_dir(&group.0).ok()?;
            // writing must not create a missing file
            fs::metadata(group.0.join(file)).ok()?;
            fs::write(group.0.join(file), max.to_string()).ok().map(|()| group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + EMPTY_WITHIN;
        while fs::remove_dir(&self.0).is_err() && self.0.exists() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}
