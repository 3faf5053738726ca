//! A real systemd in a container. Needs root and Linux namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::folder::Folder;
use super::process::Process;

/// The sources of the package.
const SOURCES: [&str; 8] =
    ["src", "systemd", "packaging", "bridge.toml", "Cargo.toml", "Cargo.lock", "README.md", "docs"];
/// Longer than the timeout in machine.sh.
const PATIENCE: Duration = Duration::from_secs(100);
/// Functions for all scripts.
const FUNCTIONS: &str = include_str!("in_machine.sh");

/// The package, which must be newer than its sources.
pub fn package() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")).ancestors().nth(2).unwrap();
    let found = fs::read_dir(target.join("debian")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let package = found.filter(is_package).max_by_key(|path| changed(path));
    let package = package.expect("this test needs target/debian/mqtt-bridge_*.deb: run `cargo deb --locked`");
    let newest = SOURCES.iter().map(|source| changed(&repository.join(source))).max().unwrap();
    assert!(newest <= changed(&package), "{} is older than its sources: run `cargo deb --locked`", package.display());
    package
}

/// When a file, or the newest file of a folder, was changed.
pub fn changed(path: &Path) -> SystemTime {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| changed(&entry.unwrap().path())).max().unwrap(),
        Err(_) => path.metadata().unwrap().modified().unwrap(),
    }
}

/// Boots a container with these files, runs a bash script in it, and returns its output.
pub fn run(files: &[(&Path, &str)], script: &str) -> String {
    let folder = Folder::new();
    let install = |from: &Path, to: &str| {
        let to = folder.path().join("files").join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    for (from, to) in files {
        install(from, to);
    }
    fs::create_dir_all(folder.path().join("files")).unwrap();
    folder.write("test.sh", &format!("{FUNCTIONS}\n{script}\necho end\n"));
    let shell = folder.write("machine.sh", include_str!("machine.sh"));
    // several tests of one process may run at a time
    let name = folder.path().file_name().unwrap();
    let mut machine = Process::start(Command::new("bash").arg(shell).arg(name).arg(folder.path()));
    let status = machine.wait_for_end_within(PATIENCE);
    let log = fs::read_to_string(folder.path().join("out/log"));
    let log = log.unwrap_or_else(|error| {
        panic!("no machine ({status}, {error}); this test needs root, namespaces and systemd-nspawn")
    });
    log.strip_suffix("end\n").unwrap_or_else(|| panic!("the machine did not get to the end:\n{log}")).to_owned()
}

/// The same with the package in it, as `/srv/mqtt-bridge.deb`.
pub fn with_package(script: &str) -> String {
    run(&[(&package(), "srv/mqtt-bridge.deb")], script)
}
