//! A real systemd in a container, for what only systemd can show. Needs root and Linux namespaces.

use std::path::Path;
use std::process::Command;

use super::folder::Folder;
use super::process::Process;

/// Boots a machine that has the daemon, its unit and this configuration, runs a bash script in it, and returns what
/// the script printed.
pub fn run(configuration: &str, script: &str) -> String {
    let folder = Folder::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let install = |from: &Path, to: &str| {
        let to = folder.path().join("files").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    install(Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")), "usr/local/bin/mqtt-bridge");
    install(&repository.join("systemd/mqtt-bridge.service"), "etc/systemd/system/mqtt-bridge.service");
    install(&folder.write("bridge.toml", configuration), "etc/mqtt-bridge/bridge.toml");
    folder.write("test.sh", script);
    let shell = folder.write("machine.sh", include_str!("machine.sh"));
    let name = format!("mqtt-bridge-{}", std::process::id());
    let mut machine = Process::start(Command::new("bash").arg(shell).arg(&name).arg(folder.path()));
    let status = machine.wait_for_end();
    let log = std::fs::read_to_string(folder.path().join("out/log"));
    log.unwrap_or_else(|error| {
        panic!("no machine ({status}, {error}); this test needs root, namespaces and systemd-nspawn")
    })
}
