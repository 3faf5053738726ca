//! A disk that fails when a test says so: `disk.c`, in place of functions of the C library.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::{Daemon, program};
use super::folder::Folder;
use super::outbox::configuration;

/// What the disk does.
#[derive(Clone, Copy)]
pub enum Disk {
    /// Works.
    Works,
    /// Each fsync fails.
    FailsToSync,
    /// Each write fails, as there is no space.
    IsFull,
    /// The next long write ends in its middle, and the daemon with it.
    Tears,
    /// No fsync ends until the disk does something else.
    Hangs,
    /// At the next fsync all is lost that is not on disk, and the daemon ends.
    LosesPower,
}

/// A folder with an outbox on a disk of the test.
pub struct DiskFolder {
    folder: Folder,
    library: PathBuf,
    port: u16,
}

impl DiskFolder {
    /// For the broker on this port.
    pub fn new(port: u16) -> Self {
        let folder = Folder::new();
        let library = folder.path().join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/support/disk.c");
        let mut compiler = Command::new("gcc");
        let compiler = compiler.args(["-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
        let made = compiler.output().expect("gcc is needed for this test");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder, library, port }
    }

    /// Starts the daemon on this disk.
    pub fn start(&self) -> Daemon {
        Daemon::run(&self.configuration_for(self.port), |config| {
            let mut command = program();
            let file = self.folder.path().join("outbox");
            command.arg("--config").arg(config);
            command.env("LD_PRELOAD", &self.library).env("DISK_FILE", file).env("DISK_CONTROL", self.control());
            command
        })
    }

    /// The configuration for another broker, to be used without the faults of the disk.
    pub fn configuration_for(&self, port: u16) -> String {
        configuration(port, "", &self.folder, "")
    }

    /// What the disk does from now on.
    pub fn set(&self, disk: Disk) {
        let word = match disk {
            Disk::Works => "",
            Disk::FailsToSync => "sync",
            Disk::IsFull => "space",
            Disk::Tears => "tear",
            Disk::Hangs => "hang",
            Disk::LosesPower => "power",
        };
        std::fs::rename(self.folder.write("next", word), self.control()).unwrap();
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }
}
