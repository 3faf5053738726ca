//! The unit files: what systemd's own tools say to them, and an installation by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::folder::Folder;
use crate::support::machine;
use crate::support::process::Process;

const UNITS: [&str; 2] = ["mqtt-bridge.service", "mqtt-bridge.socket"];

/// The units as they are, but for the place of the program, which is not installed here.
fn units() -> Folder {
    let folder = Folder::new();
    for unit in UNITS {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit)).unwrap();
        folder.write(unit, &text.replace("/usr/bin/mqtt-bridge", env!("CARGO_BIN_EXE_mqtt-bridge")));
    }
    folder
}

#[test]
fn the_units_are_valid() {
    let folder = units();
    let mut verify = Process::start(
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(UNITS.map(|unit| folder.path().join(unit))),
    );
    let status = verify.wait_for_end();
    // an unknown key is only a warning, so that any word is a failure
    assert!(status.success() && verify.lines().is_empty(), "{:?}", verify.lines());
}

#[test]
fn the_service_is_hardened() {
    let folder = units();
    let mut security = Process::start(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold=12"])
            .arg(folder.path().join(UNITS[0])),
    );
    let status = security.wait_for_end();
    assert!(status.success(), "{}", String::from_utf8_lossy(&security.stdout()));
}

#[test]
fn the_readmes_installation_by_hand_works() {
    let readme = include_str!("../../README.md");
    let commands = readme.split("### By hand").nth(1).expect("the section");
    let commands = commands.lines().skip_while(|line| !line.starts_with("    ")).take_while(|line| !line.is_empty());
    let commands = commands.map(|line| line.trim().replace("sudo ", "")).filter(|line| !line.starts_with("cargo "));
    let commands: Vec<String> = commands.filter(|line| !line.starts_with("journalctl ")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        (Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")), "srv/repository/target/release/mqtt-bridge"),
        (&repository.join("bridge.toml"), "srv/repository/bridge.toml"),
        (&repository.join("systemd/mqtt-bridge.service"), "srv/repository/systemd/mqtt-bridge.service"),
        (&repository.join("systemd/mqtt-bridge.socket"), "srv/repository/systemd/mqtt-bridge.socket"),
    ];
    let script = format!(
        "start_broker 'allow_anonymous true'\ncd /srv/repository\n{}\n{}",
        commands.join("\n"),
        r#"
        await says 1 'subscribed to django/mqtt'
        publish | sed 's/.* //'
        readlink "/proc/$(show MainPID)/exe"
        systemctl is-enabled mqtt-bridge.service
        "#
    );
    let log = machine::run(&files, &script);
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("Created symlink ")).collect();
    assert_eq!(lines, ["200", "/usr/local/bin/mqtt-bridge", "enabled"], "{log}");
}
