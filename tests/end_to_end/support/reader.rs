//! Somebody who types what a page says, in as many windows as it takes, with mosquitto's tools as it shows them.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};

use super::daemon::clean;
use super::folder::Folder;
use super::mosquitto::Mosquitto;
use super::process::Process;

pub struct Reader {
    folder: Folder,
}

/// What runs in a window, and ends with it.
pub struct Window(Process);

impl Reader {
    /// One whose broker is this one: mosquitto's tools read options from here, too.
    pub fn of(broker: &Mosquitto) -> Self {
        let folder = Folder::new();
        for tool in ["mosquitto_pub", "mosquitto_sub"] {
            folder.write(tool, &format!("-p {}\n", broker.port()));
        }
        Self { folder }
    }

    /// Saves a file beside the commands.
    pub fn save(&self, name: &str, text: &str) {
        self.folder.write(name, text);
    }

    /// Starts a program in the folder of the reader.
    pub fn start(&self, command: Command) -> Window {
        let mut command = clean(command);
        command.current_dir(self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path()).process_group(0);
        Window(Process::start(&mut command))
    }

    /// The same for what a shell reads.
    pub fn shell(&self, script: &str) -> Window {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.start(command)
    }

    /// The same with what programs are told about the bridge.
    pub fn program(&self, mut command: Command, address: &str, secret: &str) -> Window {
        command.env("BRIDGE_URL", format!("http://{address}")).env("BRIDGE_TOKEN", secret);
        self.start(command)
    }
}

impl Window {
    /// Waits for its good end, and returns what it printed.
    #[track_caller]
    pub fn output(mut self) -> String {
        let status = self.0.wait_for_end();
        assert!(status.success(), "{status}: {:?}", self.0.lines());
        String::from_utf8(self.0.stdout()).unwrap()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // what a shell started does not end with it; the number of one that was waited for may be another's
        if Path::new("/proc").join(self.0.id().to_string()).exists() {
            let _ = kill_process_group(Pid::from_raw(self.0.id().try_into().unwrap()).unwrap(), Signal::KILL);
        }
    }
}
